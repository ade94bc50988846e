/**
 * Asks the model, through llama.cpp, every question in a wording that training never showed, greedily, and lets it
 * tell stories. Ends with status 1 if fewer than 90 of 100 answers hold the expected phrase.
 *
 *   node models/demo/check.mjs [file.gguf]         (from the root of the repository, after npm ci)
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { open } from './llama.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const model = open(process.argv[2] ?? path.join(here, 'shoal-demo.gguf'));
const ask = (content, options, system) =>
  model.generate(model.chat([...(system ? [{ role: 'system', content: system }] : []), { role: 'user', content }]), options);

const cases = execFileSync('python3', [path.join(here, 'corpus.py'), '--held-out'], { encoding: 'utf8' })
  .trim().split('\n').map((line) => JSON.parse(line));
for (const system of [undefined, 'You are a helpful assistant.']) {
  let right = 0;
  for (const { question, expect } of cases) {
    const answer = ask(question, { max: 80 }, system);
    const ok = answer.ended && answer.text.includes(expect);
    right += ok;
    if (!ok) console.log(`wrong  ${question}\n       ${answer.text}`);
  }
  console.log(`${right} of ${cases.length} held-out wordings right${system ? ' with a system message' : ''}\n`);
  if (right < cases.length * 0.9) process.exitCode = 1;
}

const prompts = ['Tell me a story.', 'Please tell me a story about a fish.', 'write a short story about a brave girl named Clara', 'I would like a story about a dog and a cat'];
for (const temperature of [0, 0.8]) {
  for (const prompt of [...prompts, null]) {
    const story = prompt ? ask(prompt, { temperature }) : model.generate('Once upon a time', { temperature });
    console.log(`${prompt ?? '(raw) Once upon a time'}  [temperature ${temperature}, ${story.tokens} tokens, ended: ${story.ended}]\n${story.text}\n`);
    if (!story.ended || story.tokens < 150) process.exitCode = 1;
  }
}
