/**
 * The built page (web, dist/page) as an HTTP server answers with it: its files, and what a browser may do with them. Diagnostics serve
 * `/index.html`, a gateway `/chat.html`; both share the files under `/assets`.
 *
 *     const page = await readPage(PAGE_FOLDER);
 *     server.get("/", (request, reply) => sendPage(request, reply, page.get("/index.html")));
 */
export { PAGE_FOLDER, type PageFiles, readPage } from "./files.ts";
export { SECURITY_HEADERS } from "./headers.ts";
export { sendNotBuilt, sendPage } from "./send.ts";
