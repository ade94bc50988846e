type Expects =
  | "value"
  | "value or ]"
  | "key"
  | "key or }"
  | "colon"
  | "comma or close"
  | "string"
  | "escape"
  | "word";

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/;
const WORD_CHARACTER = /[-+.\w]/;

/** Follows one JSON value, character by character, to know where it ends or breaks. */
export class JsonScanner {
  #open: ("{" | "[")[] = [];
  #expects: Expects = "value";
  /** Of an escape: the hexadecimal digits still to come. */
  #digits = 0;
  #isKey = false;
  #word = "";
  #state: "open" | "done" | "broken" = "open";

  /** "done" once the value is whole; "broken" if it is no JSON. */
  get state(): "open" | "done" | "broken" {
    return this.#state;
  }

  /** How many of these characters belong to the value. */
  scan(text: string): number {
    for (let at = 0; at < text.length; at++) {
      const isPart = this.#step(text.charAt(at));
      if (this.#state !== "open") return isPart ? at + 1 : at;
    }
    return text.length;
  }

  /** No more text comes: a number or a word may be whole. */
  finish(): void {
    if (this.#expects === "word") this.#endWord();
    if (this.#state === "open") this.#state = "broken";
  }

  /** False: the character is not part of the value. */
  #step(character: string): boolean {
    switch (this.#expects) {
      case "string":
        return this.#inString(character);
      case "escape":
        return this.#inEscape(character);
      case "word":
        if (WORD_CHARACTER.test(character)) {
          this.#word += character;
          return true;
        }
        this.#endWord();
        return this.#state === "open" && this.#step(character);
      default:
        return /[ \t\n\r]/.test(character) || this.#between(character);
    }
  }

  #between(character: string): boolean {
    const expects = this.#expects;
    const takesValue = expects === "value" || expects === "value or ]";
    if (expects === "key or }" && character === "}") return this.#close();
    if (expects === "value or ]" && character === "]") return this.#close();
    if (
      character === '"' &&
      expects !== "colon" &&
      expects !== "comma or close"
    ) {
      this.#isKey = !takesValue;
      this.#expects = "string";
      return true;
    }
    if (takesValue) return this.#beginValue(character);
    if (expects === "colon" && character === ":") {
      this.#expects = "value";
      return true;
    }
    if (expects === "comma or close") {
      const isObject = this.#open.at(-1) === "{";
      if (character === (isObject ? "}" : "]")) return this.#close();
      if (character === ",") {
        this.#expects = isObject ? "key" : "value";
        return true;
      }
    }
    return this.#break();
  }

  #beginValue(character: string): boolean {
    if (character === "{" || character === "[") {
      this.#open.push(character);
      this.#expects = character === "{" ? "key or }" : "value or ]";
      return true;
    }
    if (!WORD_CHARACTER.test(character)) return this.#break();
    this.#word = character;
    this.#expects = "word";
    return true;
  }

  #inString(character: string): boolean {
    if (character === "\\") this.#expects = "escape";
    else if (character < " ") return this.#break();
    else if (character === '"') {
      if (this.#isKey) this.#expects = "colon";
      else this.#endValue();
    }
    return true;
  }

  #inEscape(character: string): boolean {
    if (this.#digits > 0) {
      if (!/[0-9a-fA-F]/.test(character)) return this.#break();
      this.#digits--;
    } else if (character === "u") this.#digits = 4;
    else if (!'"\\/bfnrt'.includes(character)) return this.#break();
    if (this.#digits === 0) this.#expects = "string";
    return true;
  }

  #endWord(): void {
    const isWord = ["true", "false", "null"].includes(this.#word);
    if (isWord || NUMBER.test(this.#word)) this.#endValue();
    else this.#break();
  }

  #close(): boolean {
    this.#open.pop();
    this.#endValue();
    return true;
  }

  #endValue(): void {
    if (this.#open.length === 0) this.#state = "done";
    this.#expects = "comma or close";
  }

  #break(): false {
    this.#state = "broken";
    return false;
  }
}
