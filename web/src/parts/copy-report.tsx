/** Copies the report to the clipboard; if the browser forbids that (no TLS, another machine), shows it in a box to copy from. */
import { type ReactNode, useRef, useState } from "react";
import { toClipboard } from "../chat/copy.tsx";
import { live, log } from "../live.ts";
import { reportText } from "../report.ts";

export function CopyReport(): ReactNode {
  const [said, setSaid] = useState("");
  const [text, setText] = useState("");
  const dialog = useRef<HTMLDialogElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const copy = async (): Promise<void> => {
    const { status } = live.get();
    if (status === undefined) return;
    const report = reportText(status, log.get());
    if (await toClipboard(report)) {
      setSaid("Copied");
      setTimeout(() => setSaid(""), 2_000);
      return;
    }
    setText(report);
    dialog.current?.showModal();
    setTimeout(() => area.current?.select());
  };
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        {said === "" ? "Copy a report" : said}
      </button>
      <span className="visually-hidden" role="status">
        {said}
      </span>
      <dialog ref={dialog} aria-label="Report">
        <h2>Report</h2>
        <textarea
          ref={area}
          readOnly
          className="mono"
          aria-label="Report, as text"
          value={text}
        />
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </dialog>
    </>
  );
}
