// The dial for the prevalence on the reader's own ward; cnn/page/ward.py says by which formula.
const FEWEST = 0.001, MOST = 0.9;
const percent = (share) => {
  if (share < 0.001) return "below 0.1%";
  if (share > 0.999) return "above 99.9%";
  return share < 0.1 || share > 0.9 ? `${(100 * share).toFixed(1)}%` : `${Math.round(100 * share)}%`;
};
const ofHundred = (share) => (share < 0.001 ? "fewer than 0.1" : share > 0.999 ? "more than 99.9" : share < 0.1 || share > 0.9 ? (100 * share).toFixed(1) : String(Math.round(100 * share)));
const odds = (share) => share / (1 - share);

// The probability where the prior odds are others.
export function shifted(probability, from, to) {
  const kept = Math.min(Math.max(probability, 1e-6), 1 - 1e-6);
  const moved = odds(kept) * odds(to) / odds(from);
  return moved / (1 + moved);
}

// A share of a class, never 0 and never 1.
export const share = (count, all) => (count + 0.5) / (all + 1);

// Of those who are decided, the share that is rightly.
export const predictive = (rate, falseRate, prevalence) => rate * prevalence / (rate * prevalence + falseRate * (1 - prevalence));

export function startWard(section) {
  const known = Object.fromEntries(Object.entries(section.dataset).map(([key, value]) => [key, key === "by" ? value : Number(value)]));
  const [dial, number] = ["dial", "prevalence"].map((id) => section.querySelector("#" + id));
  const words = section.querySelector("#ward-words");
  const toDial = (prevalence) => 1000 * Math.log(prevalence / FEWEST) / Math.log(MOST / FEWEST);
  const fromDial = (place) => FEWEST * (MOST / FEWEST) ** (place / 1000);

  function say(prevalence) {
    const [here, low, high] = [known.probability, known.low, known.high].map((p) => shifted(p, known.prevalence, prevalence));
    const ppv = predictive(share(known.positivesIn, known.positives), share(known.negativesIn, known.negatives), prevalence);
    const npv = predictive(share(known.negativesOut, known.negatives), share(known.positivesOut, known.positives), 1 - prevalence);
    const [ruledIn, ruledOut] = known.by === "triage" ? ["rules in", "rules out"] : ["calls positive", "calls negative"];
    const lines = [
      `There, the probability of this X-ray is ${percent(here)} (range ${percent(low)} to ${percent(high)}).`,
      `Of 100 X-rays that the model ${ruledIn} there, ${ofHundred(ppv)} have a pneumothorax: a positive predictive value of ${percent(ppv)}.`,
      `Of 100 that it ${ruledOut}, ${ofHundred(1 - npv)} have one all the same: a negative predictive value of ${percent(npv)}.`,
    ];
    words.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
  }
  dial.addEventListener("input", () => {
    const prevalence = fromDial(Number(dial.value));
    number.value = (100 * prevalence).toFixed(1);
    say(prevalence);
  });
  number.addEventListener("input", () => {
    const prevalence = Number(number.value) / 100;
    if (!(prevalence >= FEWEST && prevalence <= MOST)) return;
    dial.value = toDial(prevalence);
    say(prevalence);
  });
  const first = Math.min(Math.max(known.prevalence, FEWEST), MOST);
  number.value = (100 * first).toFixed(1);
  dial.value = toDial(first);
  say(first);
  section.hidden = false;
}
