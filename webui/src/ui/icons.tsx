// icons.tsx - the few glyphs of the console, drawn as nodes; all take the colour of their text.

import type { ComponentChildren } from 'preact';
import type { Status } from '../types';

function Svg({ children, size = 16 }: { children: ComponentChildren; size?: number }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 16 16"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

/** Each status has a shape of its own, so that colour is never the only sign. */
export function StatusIcon({ status }: { status: Status }) {
  switch (status) {
    case 'online':
      return (
        <Svg>
          <circle cx="8" cy="8" r="6" fill="currentColor" stroke="none" />
          <path d="M5.3 8.2l1.9 1.9 3.6-3.9" stroke="var(--surface)" />
        </Svg>
      );
    case 'degraded':
      return (
        <Svg>
          <circle cx="8" cy="8" r="5.6" />
          <path d="M8 2.4a5.6 5.6 0 0 1 0 11.2z" fill="currentColor" stroke="none" />
        </Svg>
      );
    case 'sleeping':
      return (
        <Svg>
          <path d="M12.9 9.8A5.4 5.4 0 0 1 6.2 3.1a5.4 5.4 0 1 0 6.7 6.7z" fill="currentColor" />
        </Svg>
      );
    case 'lost':
      return (
        <Svg>
          <path d="M8 1.8l6.6 11.8H1.4z" fill="currentColor" stroke="none" />
          <path d="M8 6.2v3.2M8 11.5v.1" stroke="var(--surface)" />
        </Svg>
      );
    case 'offline':
      return (
        <Svg>
          <circle cx="8" cy="8" r="5.6" />
          <path d="M5.4 8h5.2" />
        </Svg>
      );
    case 'unknown':
      return (
        <Svg>
          <circle cx="8" cy="8" r="5.6" />
          <path d="M6.4 6.5a1.7 1.7 0 1 1 2.3 1.6c-.5.2-.7.5-.7.9M8 11.1v.1" />
        </Svg>
      );
    case 'never':
      return (
        <Svg>
          <circle cx="8" cy="8" r="5.6" stroke-dasharray="1.5 2.6" />
        </Svg>
      );
  }
}

export const IconCopy = () => (
  <Svg size={14}>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
    <path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
  </Svg>
);
export const IconMore = () => (
  <Svg>
    <circle cx="3" cy="8" r=".7" fill="currentColor" />
    <circle cx="8" cy="8" r=".7" fill="currentColor" />
    <circle cx="13" cy="8" r=".7" fill="currentColor" />
  </Svg>
);
export const IconChart = () => (
  <Svg size={14}>
    <path d="M2 12.5l3.5-5 3 2.7L14 3.5" />
  </Svg>
);
export const IconChevron = () => (
  <Svg size={14}>
    <path d="M6 3.5L10.5 8 6 12.5" />
  </Svg>
);
export const IconClose = () => (
  <Svg size={14}>
    <path d="M3.5 3.5l9 9M12.5 3.5l-9 9" />
  </Svg>
);
export const IconSearch = () => (
  <Svg size={15}>
    <circle cx="7" cy="7" r="4.3" />
    <path d="M10.3 10.3L14 14" />
  </Svg>
);
export const IconSun = () => (
  <Svg>
    <circle cx="8" cy="8" r="2.8" />
    <path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9" />
  </Svg>
);
export const IconMoon = () => (
  <Svg>
    <path d="M13 9.8A5.5 5.5 0 0 1 6.2 3a5.5 5.5 0 1 0 6.8 6.8z" />
  </Svg>
);
export const IconAuto = () => (
  <Svg>
    <circle cx="8" cy="8" r="5.6" />
    <path d="M8 2.4a5.6 5.6 0 0 1 0 11.2z" fill="currentColor" stroke="none" />
  </Svg>
);

/** The mark: two strands, one over the other. */
export const Mark = () => (
  <svg
    class="mark"
    viewBox="0 0 32 32"
    width="24"
    height="24"
    aria-hidden="true"
    fill="none"
    stroke-width="4"
    stroke-linecap="round"
  >
    <path d="M4 9c8 0 16 14 24 14" class="mark-spb" />
    <path d="M4 23C12 23 20 9 28 9" class="mark-under" />
    <path d="M4 23C12 23 20 9 28 9" class="mark-lwm2m" />
  </svg>
);
