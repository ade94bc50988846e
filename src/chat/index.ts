/**
 * A conversation as a model sees it: its chat template turns messages into text, the bytes of tokens become text again, and a reader tells
 * what that text says: content, thoughts, and calls of tools.
 *
 *     const template = new ChatTemplate(source);
 *     const { prompt, reader } = renderChat(template, request, vocabulary);
 *
 *     const text = new TextStream({ stop: ["\n\n"] });
 *     show(text.push(bytes));
 */
export * from "./chat-request.ts";
export * from "./chat-template.ts";
export * from "./render-chat.ts";
export * from "./reply.ts";
export * from "./text-stream.ts";
