// curl.ts - the shell line that does what a button does. It uses $BRAID_TOKEN, so that the text can
// be shown, pasted and sent to a colleague without giving a secret away.

import type { CommandRequest } from './types';

export function shell_quote(s: string): string {
  return /^[A-Za-z0-9_./:@=?&%+,-]+$/.test(s) && !/[?&]/.test(s)
    ? s
    : `'${s.replaceAll("'", `'\\''`)}'`;
}

export function curl_text(origin: string, method: string, path: string, body?: unknown): string {
  const parts = ['curl -sS'];
  if (method !== 'GET') parts.push(`-X ${method}`);
  parts.push(shell_quote(`${origin}/api/v1${path}`), '-H "Authorization: Bearer $BRAID_TOKEN"');
  if (body !== undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d ${shell_quote(JSON.stringify(body))}`);
  }
  return parts.join(' ');
}

export function command_curl(origin: string, endpoint: string, body: CommandRequest): string {
  return curl_text(
    origin,
    'POST',
    `/devices/${encodeURIComponent(endpoint)}/commands?wait=10`,
    body,
  );
}
