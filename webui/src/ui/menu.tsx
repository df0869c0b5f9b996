// menu.tsx - a small menu under a button; arrow keys move, Escape and clicks outside close.

import { useEffect, useRef, useState } from 'preact/hooks';
import { copy } from '../store/ui';
import { IconCopy, IconMore } from './icons';

export interface MenuItem {
  label: string;
  /** Exactly one of the two: do something, or copy this curl line. */
  run?: () => void;
  curl?: string;
  disabled?: boolean;
}

export function Menu({ label, items }: { label: string; items: MenuItem[] }) {
  const [open, set_open] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = (e: Event) => {
      if (!box.current?.contains(e.target as Node)) set_open(false);
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('focusin', outside);
    box.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus();
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('focusin', outside);
    };
  }, [open]);
  const key = (e: KeyboardEvent) => {
    if (!open) return;
    if (e.key === 'Escape') {
      e.stopPropagation();
      set_open(false);
      box.current?.querySelector('button')?.focus();
    }
    if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') return;
    e.preventDefault();
    const all = [...(box.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    all[(at + (e.key === 'ArrowDown' ? 1 : all.length - 1)) % all.length]?.focus();
  };
  const choose = (item: MenuItem) => {
    set_open(false);
    box.current?.querySelector('button')?.focus();
    if (item.curl) void copy(item.curl, 'curl line copied');
    item.run?.();
  };
  return (
    <div class="menu" ref={box} onKeyDown={key}>
      <button
        type="button"
        class="quiet"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-label={label}
        title={label}
        onClick={() => set_open(!open)}
      >
        <IconMore />
      </button>
      {open && (
        <div class="menu-list" role="menu" aria-label={label}>
          {items.map((item) => (
            <button
              type="button"
              role="menuitem"
              disabled={item.disabled}
              title={item.curl}
              onClick={() => choose(item)}
            >
              {item.curl && <IconCopy />}
              {item.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
