/** Where one writes: Enter sends, Shift-Enter breaks the line; text files go along. */
import {
  type DragEvent,
  type FormEvent,
  type KeyboardEvent,
  type ReactNode,
  useRef,
  useState,
} from "react";
import { FILE_LIMITS, type TextFile } from "./conversation.ts";
import { isSend } from "./message.tsx";

export function Composer(props: {
  isRunning: boolean;
  send: (prompt: string, files: TextFile[]) => void;
  stop: () => void;
}): ReactNode {
  const { isRunning, send, stop } = props;
  const [prompt, setPrompt] = useState("");
  const [files, setFiles] = useState<readonly TextFile[]>([]);
  const [problem, setProblem] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const isEmpty = prompt.trim() === "" && files.length === 0;

  const attach = async (given: FileList | null): Promise<void> => {
    const added: TextFile[] = [];
    setProblem("");
    for (const file of given ?? []) {
      const read = await textFile(file);
      if (typeof read === "string") setProblem(read);
      else added.push(read);
    }
    // A file of the same name takes the place of the first.
    const all = new Map([...files, ...added].map((file) => [file.name, file]));
    if (all.size > FILE_LIMITS.count)
      setProblem(`a message takes at most ${FILE_LIMITS.count} files`);
    setFiles([...all.values()].slice(0, FILE_LIMITS.count));
    area.current?.focus();
  };
  const done = (): void => {
    if (isRunning || isEmpty) return;
    send(prompt, [...files]);
    setPrompt("");
    setFiles([]);
    setProblem("");
    area.current?.focus();
  };
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    done();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && isRunning) stop();
    if (!isSend(event)) return;
    event.preventDefault();
    done();
  };
  const onDrop = (event: DragEvent): void => {
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    void attach(event.dataTransfer.files);
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      {files.length > 0 && (
        <ul className="files" aria-label="Attached files">
          {files.map((file) => (
            <li key={file.name}>
              {file.name}{" "}
              <button
                type="button"
                className="quiet"
                onClick={() => setFiles(files.filter((one) => one !== file))}
              >
                Remove<span className="visually-hidden"> {file.name}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {problem !== "" && (
        <p className="error" role="alert">
          {problem}
        </p>
      )}
      <textarea
        ref={area}
        rows={2}
        aria-label="Message"
        placeholder="Write a message. Enter sends, Shift+Enter breaks the line."
        value={prompt}
        onChange={({ target }) => setPrompt(target.value)}
        onKeyDown={onKeyDown}
        onDrop={onDrop}
      />
      <div className="row">
        <input
          ref={input}
          type="file"
          multiple
          className="visually-hidden"
          tabIndex={-1}
          aria-label="Files"
          onChange={({ target }) => {
            void attach(target.files).finally(() => (target.value = ""));
          }}
        />
        <button type="button" onClick={() => input.current?.click()}>
          Attach a text file
        </button>
        <span className="end">
          {isRunning ? (
            <button type="button" onClick={stop}>
              Stop
            </button>
          ) : (
            <button type="submit" className="primary" disabled={isEmpty}>
              Send
            </button>
          )}
        </span>
      </div>
    </form>
  );
}

/** Its text, or why it is none. */
async function textFile(file: File): Promise<TextFile | string> {
  const name = file.name.slice(0, FILE_LIMITS.nameChars);
  if (file.size > FILE_LIMITS.bytes)
    return `${name} is larger than ${FILE_LIMITS.bytes / 1024} KiB`;
  try {
    const bytes = await file.arrayBuffer();
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? `${name} is not a text file` : { name, text };
  } catch {
    return `${name} is not a text file`;
  }
}
