// The payment page that this browser has open. Its address is the buyer's own: only their browser keeps it,
// and one that keeps nothing orders all the same.

const KEY = "mpanel-billing-unpaid";

const kept = (use) => {
  try {
    return use(localStorage);
  } catch (problem) {
    if (problem instanceof DOMException) return null; // storage is off, or full
    throw problem;
  }
};

export const rememberUnpaid = (page) => kept((storage) => storage.setItem(KEY, JSON.stringify(page)));
export const recallUnpaid = () => JSON.parse(kept((storage) => storage.getItem(KEY)));
export const forgetUnpaid = () => kept((storage) => storage.removeItem(KEY));
