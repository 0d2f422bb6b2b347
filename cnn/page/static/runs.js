// Run-length code of a mask: pairs of gap and length down the columns, each gap from the last run's
// end, as features/reading/rle.py has it.
export function encode(mask, rows, columns) {
  const numbers = [];
  let gap = 0, length = 0;
  for (let column = 0; column < columns; column++) {
    for (let row = 0; row < rows; row++) {
      if (mask[row * columns + column]) length++;
      else {
        if (length) {
          numbers.push(gap, length);
          gap = length = 0;
        }
        gap++;
      }
    }
  }
  if (length) numbers.push(gap, length);
  return numbers.length ? numbers.join(" ") : "-1";
}
