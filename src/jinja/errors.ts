/** What a template does wrong, in words that name its own things and no message's content. */
export class JinjaError extends Error {}

/** What a template throws on purpose, with `raise_exception`. */
export class TemplateRefusal extends JinjaError {}

/** An expression or statement that is not Jinja. */
export class JinjaSyntaxError extends JinjaError {
  constructor(what: string, line: number) {
    super(`${what} (line ${line} of the template)`);
  }
}

export function fail(message: string): never {
  throw new JinjaError(message);
}
