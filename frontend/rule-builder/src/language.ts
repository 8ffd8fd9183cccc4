/** The builder's language without its controls: what the tests, and nobody else, import in one piece. */

export { fromRule, NotShown } from "./from-rule";
export { writeBehaviour, readDid, readSeq } from "./behaviour";
export { OPERATORS } from "./operators";
export { sentenceOf } from "./sentence";
export { toRule } from "./to-rule";
export { missingInRow, unfinishedIn } from "./unfinished";
export { readVocabulary, labelOf } from "./vocabulary";
