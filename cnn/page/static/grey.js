// The X-ray's grey levels on a canvas, of 8 bits or of 16.
export async function grey(canvas, address, deep) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const picture = context.getImageData(0, 0, width, height);
  const bytes = picture.data;
  // Deep levels have their upper byte in red and the lower one in green.
  const levels = new Uint16Array(width * height);
  for (let k = 0; k < levels.length; k++) levels[k] = deep ? (bytes[4 * k] << 8) | bytes[4 * k + 1] : bytes[4 * k];
  const count = deep ? 65536 : 256;
  const table = new Uint32Array(count);
  const pixels = new Uint32Array(bytes.buffer);

  function paint(level, window, inverted) {
    const low = level - window / 2;
    for (let k = 0; k < count; k++) {
      const share = Math.min(Math.max((k / (count - 1) - low) / window, 0), 1);
      const value = Math.round(255 * (inverted ? 1 - share : share));
      table[k] = 0xff000000 | (value << 16) | (value << 8) | value;
    }
    for (let k = 0; k < levels.length; k++) pixels[k] = table[levels[k]];
    context.putImageData(picture, 0, 0);
  }
  return { paint };
}
