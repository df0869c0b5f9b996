// front.mjs - the shipped nginx in front of a test's stack, and clients that look closely: raw TLS,
// HTTP/1.1 with its header lines as they came, HTTP/2.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import WebSocket from 'ws';
import { LiveClient } from './live.mjs';
import { Part, freePorts, patience, root } from './stack.mjs';

const nginx = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find((file) => fs.existsSync(file));

const connects = (port) => new Promise((resolve) => {
  const socket = net.connect(port, '127.0.0.1', () => resolve(socket.destroy() && true));
  socket.once('error', () => resolve(false));
});

export class Front {
  // A front of its own in DIR/NAME; `upstream` is HOST:PORT. It is stopped when the stack is.
  static async start(stack, { upstream = `127.0.0.1:${stack.ports.http}`, address = '127.0.0.1', name = 'front' } = {}) {
    const front = new Front();
    const data = path.join(stack.dir, `${name}-data`);
    fs.mkdirSync(data);
    fs.chmodSync(data, 0o711);
    fs.cpSync(path.join(stack.dir, 'tls'), path.join(data, 'tls'), { recursive: true });
    const { port } = await freePorts(['port']);
    Object.assign(front, { stack, data, port, upstream, address, agents: [] });
    front.ca = fs.readFileSync(path.join(data, 'tls/ca.crt'));
    front.make();
    front.part = new Part(stack, name, {
      command: () => [nginx, '-p', `${data}/front`, '-c', `${data}/front/nginx.conf`, '-e', 'stderr'],
      stopSignal: 'SIGTERM',
      isReady: () => connects(port),
    });
    await front.part.start();
    stack.closers.push(() => front.stop());
    return front;
  }

  make() {
    execFileSync(path.join(root, 'compose/make-front'), [this.data, this.address, String(this.port), this.upstream]);
  }

  get url() {
    return `https://localhost:${this.port}`;
  }

  // request: {status, headers (joined), lines: [[name, value]], text, body}. Goes over HTTP/1.1 on a
  // connection of its own, or of `agent`, from this machine's address `from`.
  request(method, where, { headers = {}, body, token = this.stack.token, agent = false, from = '127.0.0.1' } = {}) {
    return new Promise((resolve, reject) => {
      const request = https.request({ host: '127.0.0.1', servername: 'localhost', port: this.port,
        ca: this.ca, method, path: where, agent, timeout: patience(20000), localAddress: from,
        headers: { host: `localhost:${this.port}`, ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) } }, (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const lines = [];
          for (let i = 0; i < response.rawHeaders.length; i += 2) {
            lines.push([response.rawHeaders[i].toLowerCase(), response.rawHeaders[i + 1]]);
          }
          const bytes = Buffer.concat(parts);
          const isJson = /json/.test(response.headers['content-type'] || '') && !response.headers['content-encoding'];
          resolve({ status: response.statusCode, headers: response.headers, lines, bytes,
            text: bytes.toString(), body: isJson && bytes.length ? JSON.parse(bytes.toString()) : undefined });
        });
      });
      request.on('error', reject);
      request.on('timeout', () => request.destroy(new Error('no answer in time')));
      request.end(body);
    });
  }

  json(method, where, body, { headers = {}, ...rest } = {}) {
    return this.request(method, where, { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers }, ...rest });
  }

  // handshake: {protocol, cipher, alpn, serial}; rejects with what went wrong.
  handshake(options = {}) {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({ host: '127.0.0.1', servername: 'localhost', port: this.port, ca: this.ca, ...options }, () => {
        resolve({ protocol: socket.getProtocol(), cipher: socket.getCipher().standardName, alpn: socket.alpnProtocol,
          serial: socket.getPeerCertificate().serialNumber, issuer: socket.getPeerCertificate().issuer.CN });
        socket.destroy();
      });
      socket.once('error', reject);
    });
  }

  // http2: {status, headers, text} of one GET on a connection of its own.
  http2(where, { token = this.stack.token, headers = {} } = {}) {
    return new Promise((resolve, reject) => {
      const session = http2.connect(this.url, { ca: this.ca, lookup: (name, options, found) =>
        options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4) });
      session.once('error', reject);
      const stream = session.request({ ':path': where, authorization: `Bearer ${token}`, ...headers });
      let got;
      let text = '';
      stream.on('response', (head) => (got = head));
      stream.on('data', (part) => (text += part));
      stream.on('error', reject);
      stream.on('end', () => session.close(() => resolve({ status: got[':status'], headers: got, text, alpn: session.alpnProtocol })));
      stream.end();
    });
  }

  // live: an open WebSocket through the front.
  live({ token = this.stack.token, headers = {} } = {}) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`${this.url.replace('https', 'wss')}/api/v1/live`, ['braid.v1', `bearer.${token}`],
        { ca: this.ca, headers });
      const client = new LiveClient(socket);
      this.stack.closers.push(() => client.close());
      socket.once('open', () => resolve(client));
      socket.once('error', reject);
      socket.once('unexpected-response', (request, response) => reject(new Error(`live: HTTP ${response.statusCode}`)));
    });
  }

  // slow: a TLS connection that has sent `text` and then says nothing more.
  slow(text, from = '127.0.0.1') {
    return new Promise((resolve, reject) => {
      const socket = tls.connect({ socket: net.connect({ host: '127.0.0.1', port: this.port, localAddress: from }),
        servername: 'localhost', ca: this.ca }, () => {
        socket.write(text);
        resolve(socket);
      });
      socket.on('error', reject);
    });
  }

  // raw: what comes back on a plain TCP or TLS connection for these bytes; with `head` no more than
  // the headers are waited for.
  raw(text, { secure = true, head = false } = {}) {
    return new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: this.port, servername: 'localhost', ca: this.ca };
      const socket = secure ? tls.connect(options, () => socket.write(text)) : net.connect(options, () => socket.write(text));
      let seen = '';
      socket.setTimeout(patience(5000), () => socket.destroy());
      socket.on('data', (part) => {
        seen += part;
        if (head && seen.includes('\r\n\r\n')) socket.destroy();
      });
      socket.on('close', () => resolve(seen));
      socket.on('error', (error) => (seen ? resolve(seen) : reject(error)));
    });
  }

  async stop() {
    if (!this.part.child) return;
    await this.part.stop();
    if (this.part.complaints.length) throw new Error(this.part.complaints.join('\n'));
  }
}
