// tools.mjs - what the web tests share: modules of the console compiled by its own esbuild, and a
// browser found where a developer or the CI put it.

import { createRequire } from 'node:module';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
export const webui = join(here, '..', '..', 'webui');
const webui_require = createRequire(join(webui, 'package.json'));

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What modules touch of the browser while they load; behaviour is tested in a real one. */
const BROWSER = `
const store = new Map();
globalThis.localStorage ??= { getItem: (k) => store.get(k) ?? null, setItem: (k, v) => store.set(k, v), removeItem: (k) => store.delete(k) };
globalThis.location ??= { pathname: '/', search: '', origin: 'http://console', protocol: 'http:', host: 'console' };
globalThis.matchMedia ??= () => ({ matches: false, addEventListener() {} });
globalThis.document ??= { hidden: false, addEventListener() {} };
globalThis.window ??= globalThis;
globalThis.addEventListener ??= () => {};
globalThis.requestAnimationFrame ??= (f) => setTimeout(f, 0);
`;

/** compile bundles a snippet of TypeScript that imports from webui/src, and imports the result. */
export async function compile(source) {
  const { build } = webui_require('esbuild');
  const dir = await mkdtemp(join(tmpdir(), 'braid-web-'));
  try {
    const result = await build({
      stdin: { contents: source, resolveDir: join(webui, 'src'), loader: 'ts' },
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      write: false,
      banner: { js: BROWSER },
      jsx: 'automatic',
      jsxImportSource: 'preact',
      loader: { '.css': 'empty' },
    });
    const file = join(dir, 'module.mjs');
    await writeFile(file, result.outputFiles[0].contents);
    return await import(pathToFileURL(file));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function playwright() {
  const places = [here, join(here, '..', 'e2e'), webui, process.env.BRAID_PLAYWRIGHT].filter(
    Boolean,
  );
  for (const place of places) {
    try {
      return createRequire(join(place, 'package.json'))('playwright-core');
    } catch (e) {
      if (e.code !== 'MODULE_NOT_FOUND') throw e;
    }
  }
  throw new Error(
    'playwright-core is missing: npm ci in tests/e2e, or set BRAID_PLAYWRIGHT to a folder that has it',
  );
}

export async function browser_start() {
  const executablePath =
    process.env.BRAID_CHROMIUM ??
    ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
  return playwright().chromium.launch({ executablePath, args: FLAGS });
}
