// What an admin sees in the browser when a connection is authorized, and when it is not.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const { CHROMIUM, PLAYWRIGHT, OUT, BINARY } = process.env;
const { chromium } = createRequire(import.meta.url)(PLAYWRIGHT);
const SECRET = 'browser-test-secret';
const started = [];

// Starts the binary; `lines` are what it says on stdout as it says it.
function start(args, env = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('OKTA_')));
  const child = spawn(BINARY, args, { env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += data));
  const ended = new Promise((resolve) => child.on('exit', (code) => resolve({ code, stderr })));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return { child, ended, lines };
}

async function ready(args, env) {
  const { lines } = start(args, env);
  return JSON.parse((await lines.next()).value);
}

async function control(sandbox, method, path, body) {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${sandbox}/_sandbox/${path}`, { method, headers, body: JSON.stringify(body) });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return response.json();
}

// A command that waits for somebody to open the link it prints.
async function waiting(args, env) {
  const { lines, ended } = start(args, env);
  for (;;) {
    const { value, done } = await lines.next();
    if (done) return { link: null, ended };
    const link = value.trim();
    if (link.startsWith('http')) return { link, ended };
  }
}

async function main(page, scratch) {
  const { url: sandbox } = await ready(['sandbox', '--addr', '127.0.0.1:0']);
  const any = ['--grpc-addr', '127.0.0.1:0', '--http-addr', '127.0.0.1:0', '--admin-addr', '127.0.0.1:0'];
  const server = await ready(['serve', '--data-dir', join(scratch, 'data'), ...any]);
  const callback = `http://${server.http}/oauth/callback`;
  const app = await control(sandbox, 'POST', 'clients', {
    type: 'web', label: 'Okta Connector', client_secret: SECRET, redirect_uris: [callback],
  });
  const connections = (...args) => ['connections', '--server', server.grpc, ...args];
  const authorize = () => waiting(connections('authorize', 'acme'));
  const heading = () => page.locator('h1').innerText();
  const shoot = (name) => page.screenshot({ path: join(OUT, `${name}.png`) });

  const add = connections('add', 'acme', sandbox, '--client-id', app.client_id, '--scope', 'okta.users.manage');
  const denied = await waiting(add, { OKTA_CLIENT_SECRET: SECRET });
  await page.goto(denied.link);
  await shoot('consent');
  await page.getByRole('button', { name: /don.t allow/i }).click();
  assert.equal(await heading(), 'acme was not authorized');
  assert.match(await page.locator('main').innerText(), /access_denied/);
  await shoot('refused');
  const refusal = await denied.ended;
  assert.equal(refusal.code, 1);
  assert.match(refusal.stderr, /acme was not authorized\. Okta answered access_denied/);

  const allowed = await authorize();
  await page.goto(allowed.link);
  await page.getByRole('button', { name: 'Allow access' }).click();
  assert.equal(await heading(), 'acme is authorized');
  assert.match(await page.locator('main').innerText(), /okta\.users\.manage/);
  await shoot('authorized');
  assert.equal((await allowed.ended).code, 0);
  await page.reload();
  assert.equal(await heading(), 'This authorization has been carried out already');
  await shoot('used');

  await page.goto(`${callback}?state=guessed&code=x`);
  assert.equal(await heading(), 'This authorization is not known here');
  await shoot('unknown');

  const foreign = await authorize();
  await page.goto(foreign.link);
  await page.context().clearCookies();
  await page.getByRole('button', { name: 'Allow access' }).click();
  assert.equal(await heading(), 'This authorization was begun in another browser');
  await shoot('foreign');

  await control(sandbox, 'PATCH', `clients/${app.client_id}`, { client_secret: 'another' });
  const wrongSecret = await authorize();
  await page.goto(wrongSecret.link);
  await page.getByRole('button', { name: 'Allow access' }).click();
  assert.match(await page.locator('main').innerText(), /invalid_client.*UpdateConnection/s);
  await shoot('wrong-secret');

  await control(sandbox, 'PATCH', `clients/${app.client_id}`, { redirect_uris: ['https://elsewhere.example/'] });
  const wrongRedirect = await authorize();
  await page.goto(wrongRedirect.link);
  assert.match(await page.locator('body').innerText(), /redirect_uri/);
  await shoot('wrong-redirect');
}

const scratch = mkdtempSync(join(tmpdir(), 'okta-connector-browser-'));
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 640 } });
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  await main(page, scratch);
  assert.deepEqual(complaints, []);
  console.log('authorized, refused, used, unknown, foreign, wrong secret, wrong redirect URI: each page as it should be');
} finally {
  await browser.close();
  for (const child of started) child.kill('SIGKILL');
  rmSync(scratch, { recursive: true, force: true });
}
