// The words of a text, found as taproom.words.counting does, so that a text typed here has the words of `vocabulary`.
"use strict";

(() => {
  // The token pattern with which scripts that are written without blanks are cut into pairs of characters.
  const DEFAULT_TOKEN_PATTERN = String.raw`(?u)\b\w\w+\b`;
  const UNSPACED_CHARACTER =
    String.raw`[[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}` +
    String.raw`\p{Script=Myanmar}\u30FC]--\p{M}]\p{M}*`;
  const CHARACTER = new RegExp(UNSPACED_CHARACTER, "gv");
  const UNSPACED = new RegExp(`(?:${UNSPACED_CHARACTER})+`, "gv");

  // What \w, \d and \s are in Python's package regex (Unicode Technical Standard 18, Annex C).
  const CLASSES = {
    w: String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200C\u200D`,
    d: String.raw`\p{Nd}`,
    s: String.raw`\p{White_Space}`,
  };
  const inClass = ([, letter]) => `[${/[A-Z]/.test(letter) ? "^" : ""}${CLASSES[letter.toLowerCase()]}]`;
  const WORD = inClass(String.raw`\w`);

  // Characters are translated to their numbers, since JavaScript reserves others than Python does.
  const ESCAPED = String.raw`\\(?:[nrtf]|x\p{AHex}{2}|u\p{AHex}{4}|[\p{P}\p{S}])`;
  const IN_BRACKETS = String.raw`(?:${ESCAPED}|[^\\\[\]\-])`;
  const number = (part) => `\\u{${part.replace(/^\\/, "").codePointAt(0).toString(16)}}`;
  const character = (part) => (/^\\[nrtfxu]/.test(part) ? part : number(part));
  const characters = (part) => part.replace(new RegExp(IN_BRACKETS, "gv"), character);
  const asItIs = (part) => part;

  // The parts of a pattern that mean the same in both languages, each with its translation.
  const COMMON = [
    [String.raw`\\[wWdDsS]`, inClass],
    [String.raw`\\[pP]\{[\w=]+\}`, asItIs],
  ];
  const BRACKETED = sticky([...COMMON, ["^-|-$", number], [`${IN_BRACKETS}(?:-${IN_BRACKETS})?`, characters]]);
  const PARTS = sticky([
    ...COMMON,
    [String.raw`\\b`, () => `(?:(?<=${WORD})(?!${WORD})|(?<!${WORD})(?=${WORD}))`],
    [String.raw`\\B`, () => `(?:(?<=${WORD})(?=${WORD})|(?<!${WORD})(?!${WORD}))`],
    [String.raw`\((?:\?(?:[:=!]|<[=!]))?|\)|\|`, asItIs],
    [String.raw`(?:[*+?]|\{\d+(?:,\d*)?\})\??(?!\+)`, asItIs],
    [String.raw`\[\^?(?!\])(?:\\[^]|[^\\\[\]])+\]`, bracketed],
    [String.raw`\.`, () => String.raw`[^\n]`],
    [String.raw`${ESCAPED}|[^\\^$.\|?*+\(\)\[\]\{\}]`, character],
  ]);

  function sticky(parts) {
    return parts.map(([part, translate]) => [new RegExp(part, "vy"), translate]);
  }

  // Whether a sticky expression matches at a place; its lastIndex is then the end of the match.
  function isAt(place, part, pattern) {
    part.lastIndex = place;
    return part.test(pattern);
  }

  // A pattern with each of its parts translated. Throws a SyntaxError for a part that is not among `parts`.
  function translated(pattern, parts) {
    let result = "";
    for (let place = 0; place < pattern.length; ) {
      const found = parts.find(([part]) => isAt(place, part, pattern));
      if (!found) throw new SyntaxError(`${pattern} is not translated from character ${place} on`);
      const [part, translate] = found;
      result += translate(pattern.slice(place, part.lastIndex));
      place = part.lastIndex;
    }
    return result;
  }

  function bracketed(part) {
    const start = part.startsWith("[^") ? "[^" : "[";
    return `${start}${translated(part.slice(start.length, -1), BRACKETED)}]`;
  }

  // The pattern of JavaScript that has the matches of one of Python's package regex, or null.
  function compiled(pattern) {
    // JavaScript forgets what a group has captured when it, or a group around it, is repeated.
    if (/\((?!\?)/.test(pattern) && /\)[*+?{]/.test(pattern)) return null;
    try {
      return new RegExp(translated(pattern.replace(/^\(\?u\)/, ""), PARTS), "gv");
    } catch (error) {
      if (error instanceof SyntaxError) return null;
      throw error;
    }
  }

  function withPairs(text) {
    return text.replace(UNSPACED, (run) => {
      const found = run.match(CHARACTER);
      const pairs = found.slice(1).map((next, place) => found[place] + next);
      return ` ${(pairs.length ? pairs : found).join(" ")} `;
    });
  }

  // The words of a text, in order, as `tokens` finds them with a `token_pattern` of `vocabulary`. Null if the pattern
  // cannot be translated, or has matched no character, after which the two languages continue differently.
  Taproom.words = (text, pattern) => {
    const words = compiled(pattern);
    if (words === null) return null;
    const normal = Taproom.normalForm(text);
    const matches = [...(pattern === DEFAULT_TOKEN_PATTERN ? withPairs(normal) : normal).matchAll(words)];
    return matches.some(([whole]) => !whole) ? null : matches.map((match) => match.at(-1)).filter(Boolean);
  };
})();
