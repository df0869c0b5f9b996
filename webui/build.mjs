// build.mjs - bundles src/ into dist/: one script, one style sheet, both with their hash in the
// name so that they may be cached for ever, an index.html that names them, and a .gz copy beside
// every file, because the server sends files as they lie and compresses nothing itself.
//
//   node build.mjs            production build
//   node build.mjs --dev      not minified, with source maps
//   node build.mjs --out DIR  elsewhere than in dist/

import { build } from 'esbuild';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const at = process.argv.indexOf('--out');
const out = at > 0 ? resolve(process.argv[at + 1]) : join(here, 'dist');
const dev = process.argv.includes('--dev');

async function bundle() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: ['src/main.tsx'],
    bundle: true,
    format: 'esm',
    target: ['es2021', 'chrome100', 'firefox100', 'safari15.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: !dev,
    sourcemap: dev ? 'inline' : false,
    legalComments: 'none',
    entryNames: 'assets/[name]-[hash]',
    outdir: out,
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  return result.outputFiles.map((f) => ({
    name: f.path.slice(out.length + 1).replaceAll('\\', '/'),
    bytes: Buffer.from(f.contents),
  }));
}

async function page(files) {
  let html = await readFile(join(here, 'index.html'), 'utf8');
  for (const kind of ['css', 'js']) {
    const file = files.find((f) => f.name.endsWith(`.${kind}`));
    if (!file) throw new Error(`the bundle has no .${kind} file`);
    html = html.replace(`/assets/main.${kind}`, `/${file.name}`);
  }
  return Buffer.from(html);
}

const files = await bundle();
files.push({ name: 'index.html', bytes: await page(files) });
files.push({ name: 'icon.svg', bytes: await readFile(join(here, 'icon.svg')) });

// The folder itself stays: a running server holds it open and serves the new files at once.
await mkdir(out, { recursive: true });
for (const old of await readdir(out)) await rm(join(out, old), { recursive: true });
let total = 0;
for (const f of files) {
  const path = join(out, f.name);
  const gz = gzipSync(f.bytes, { level: 9 });
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, f.bytes);
  await writeFile(`${path}.gz`, gz);
  total += gz.length;
  console.log(`${f.name.padEnd(28)} ${String(f.bytes.length).padStart(8)} B  gzip ${gz.length} B`);
}
console.log(`web UI built: ${(total / 1000).toFixed(1)} kB gzip in ${files.length} files`);
