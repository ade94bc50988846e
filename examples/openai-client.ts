/**
 * Asks a running swarm through OpenAI's own client. `npm start` runs one on this machine.
 *
 *     node examples/openai-client.ts [prompt] [gateway's URL]
 */
import OpenAI from "openai";

const [prompt = "How do I add a node?", gateway = "http://127.0.0.1:51822"] =
  process.argv.slice(2);

// The gateway wants no key unless it was given one.
const openai = new OpenAI({ baseURL: `${gateway}/v1`, apiKey: "-" });
const { data: models } = await openai.models.list();

const reply = await openai.chat.completions.create({
  model: models[0]?.id ?? "",
  messages: [{ role: "user", content: prompt }],
  temperature: 0,
  stream: true,
});
for await (const { choices } of reply)
  process.stdout.write(choices[0]?.delta.content ?? "");
process.stdout.write("\n");
