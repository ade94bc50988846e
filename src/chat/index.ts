/**
 * A conversation as a model sees it: its chat template turns messages into text, and the bytes of tokens become text again.
 *
 *     const template = new ChatTemplate(source);
 *     const prompt = template.render(messages, { bosToken: "<s>", eosToken: "</s>", tokenizerAddsBos: true });
 *
 *     const text = new TextStream({ stop: ["\n\n"] });
 *     show(text.push(bytes));
 */
export * from "./chat-request.ts";
export * from "./chat-template.ts";
export * from "./render-chat.ts";
export * from "./reply.ts";
export * from "./text-stream.ts";
