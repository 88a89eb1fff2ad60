/** What a position attends to, and what attends to it: told apart on white and on near-black. */
export const SOURCE = "#2f7fd0";
export const DESTINATION = "#d8602a";
