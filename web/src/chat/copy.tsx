/** A button that copies a text; where the browser forbids that (no TLS, another machine), a box to copy from. */
import { type ReactNode, useEffect, useRef, useState } from "react";

export async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

const SAID_MS = 2_000;

/** `what` names the text for who does not see it. */
export function Copy({
  text,
  what,
}: {
  text: string;
  what: string;
}): ReactNode {
  const [said, setSaid] = useState(false);
  const [isBox, setBox] = useState(false);
  const copy = async (): Promise<void> => {
    if (!(await toClipboard(text))) {
      setBox(true);
      return;
    }
    setSaid(true);
    setTimeout(() => setSaid(false), SAID_MS);
  };
  return (
    <>
      <button type="button" className="quiet" onClick={() => void copy()}>
        {said ? "Copied" : "Copy"}
        <span className="visually-hidden"> {what}</span>
      </button>
      {isBox && <Box text={text} close={() => setBox(false)} />}
    </>
  );
}

function Box({ text, close }: { text: string; close: () => void }): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    area.current?.select();
  }, []);
  return (
    <dialog ref={dialog} aria-label="Text to copy" onClose={close}>
      <h2>Text to copy</h2>
      <textarea
        ref={area}
        readOnly
        className="mono"
        aria-label="Text to copy"
        value={text}
      />
      <button type="button" onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  );
}
