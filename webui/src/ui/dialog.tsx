// dialog.tsx - a modal form on the platform's <dialog>: focus stays inside, Escape closes, and the
// element that had focus gets it back.

import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { IconClose } from './icons';

export function Dialog({
  title,
  note,
  wide = false,
  onClose,
  children,
}: {
  title: string;
  note?: ComponentChildren;
  wide?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current!;
    const before = document.activeElement;
    dialog.showModal();
    const first = dialog.querySelector<HTMLElement>('[data-first], input, select, textarea');
    first?.focus();
    return () => {
      dialog.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? 'wide' : undefined}
      aria-labelledby={id}
      onCancel={onClose}
      onClick={(e) => e.target === ref.current && onClose()}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
            <IconClose />
          </button>
        </header>
        {note && <div class="dialog-note">{note}</div>}
        {children}
      </div>
    </dialog>
  );
}

/** What ends a form in a dialog: give up, or send it. Children stand before both. */
export function FormEnd({
  verb,
  busy = false,
  onClose,
  children,
}: {
  verb: ComponentChildren;
  busy?: boolean;
  onClose: () => void;
  children?: ComponentChildren;
}) {
  return (
    <footer>
      {children}
      <button type="button" onClick={onClose}>
        Cancel
      </button>
      <button type="submit" class="primary" disabled={busy}>
        {verb}
      </button>
    </footer>
  );
}

export function Confirm({
  title,
  text,
  verb,
  onYes,
  onClose,
}: {
  title: string;
  text: string;
  verb: string;
  onYes: () => void;
  onClose: () => void;
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <footer>
        <button type="button" onClick={onClose} data-first>
          Keep
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            onClose();
            onYes();
          }}
        >
          {verb}
        </button>
      </footer>
    </Dialog>
  );
}
