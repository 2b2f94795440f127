import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/**
 * What the first sight of a page may cost: the scripts and styles that it loads before it shows anything, after brotli. Beyond it the build
 * fails. By the module that begins it; what that imports is counted, what it loads later is not.
 */
const BUDGETS: readonly (readonly [page: string, modules: readonly string[], bytes: number])[] = [
  ['the Live page', ['index.html'], 220 * 1024],
  ['the dashboard', ['index.html', 'src/app/dashboard/Dashboard.tsx', 'src/features/overview/Overview.tsx'], 350 * 1024],
];
const COMPRESSIBLE = /\.(?:js|css|html|svg|json|txt)$/;

/** The parts of Swagger UI that the page of the server API loads, and what its license asks to go with them. */
const SWAGGER = ['swagger-ui.css', 'swagger-ui-bundle.js', 'LICENSE', 'NOTICE'];
const SWAGGER_FOLDER = 'swagger/';

/** Puts Swagger UI beside the Live page. The hub makes the page that loads it. */
function swagger(): Plugin {
  return {
    name: 'swagger',
    apply: 'build',
    async generateBundle() {
      const folder = fileURLToPath(new URL('node_modules/swagger-ui-dist/', import.meta.url));
      for (const name of SWAGGER) {
        const text = await readFile(join(folder, name), 'utf8');
        // Its source map stays behind.
        const source = text.replace(/\n(?:\/\/|\/\*)# sourceMappingURL=.*$/, '\n');
        this.emitFile({ type: 'asset', fileName: `${SWAGGER_FOLDER}${name}`, source });
      }
    },
  };
}

/** Writes a `.br` and a `.gz` beside every file that gets smaller by it, so that the hub never compresses while serving. */
function precompress(): Plugin {
  let folder = '';
  let root = '';
  let pages: readonly (readonly [page: string, files: ReadonlySet<string>, bytes: number])[] = [];
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      root = config.root;
      folder = join(config.root, config.build.outDir);
    },
    generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((one) => one.type === 'chunk');
      const loads = (name: string, files: Set<string>): Set<string> => {
        const chunk = chunks.find(({ fileName }) => fileName === name);
        if (chunk === undefined || files.has(name)) return files;
        files.add(name);
        for (const style of chunk.viteMetadata?.importedCss ?? []) files.add(style);
        for (const other of chunk.imports) loads(other, files);
        return files;
      };
      pages = BUDGETS.map(([page, modules, bytes]) => {
        const files = new Set<string>();
        for (const module of modules) {
          const chunk = chunks.find(({ facadeModuleId }) => facadeModuleId === join(root, module));
          if (chunk === undefined) throw new Error(`${module} begins no chunk: the budget of ${page} counts nothing`);
          loads(chunk.fileName, files);
        }
        return [page, files, bytes] as const;
      });
    },
    async closeBundle() {
      const names = (await readdir(folder, { recursive: true })).filter((name) => COMPRESSIBLE.test(name));
      const brotliBytes = new Map<string, number>();
      for (const name of names) {
        const plain = await readFile(join(folder, name));
        const zipped = await promisify(gzip)(plain, { level: 9 });
        const brotli = await promisify(brotliCompress)(plain, {
          params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
        });
        if (zipped.length < plain.length) await writeFile(join(folder, `${name}.gz`), zipped);
        if (brotli.length < plain.length) await writeFile(join(folder, `${name}.br`), brotli);
        brotliBytes.set(name, Math.min(brotli.length, plain.length));
      }
      for (const [page, files, budget] of pages) {
        const bytes = [...files].reduce((sum, name) => sum + (brotliBytes.get(name) ?? 0), 0);
        const said = `scripts and styles of ${page}: ${(bytes / 1024).toFixed(1)} KiB after brotli, budget ${budget / 1024}`;
        if (bytes > budget) throw new Error(said);
        console.log(said);
      }
    },
  };
}

/**
 * The SDK's 64-bit numbers come with a WebAssembly variant, tried at start and done without when it fails. Under our policy it always
 * fails, and every visit would report a violation (script-src wasm-eval): so the try is made to fail without asking.
 */
function withoutWasmProbe(): Plugin {
  const probe = 'new WebAssembly.Module(';
  return {
    name: 'without-wasm-probe',
    transform: {
      filter: { id: /centrifuge\/build\/protobuf\/index\.mjs$/ },
      handler(code) {
        if (code.split(probe).length !== 2)
          throw new Error('the SDK no longer has one WebAssembly probe: look at what it does now');
        return { code: code.replace(probe, 'new (undefined)('), map: null };
      },
    },
  };
}

/** Where `npm run dev` finds a hub. */
const HUB = process.env['AETHER_URL'] ?? 'http://127.0.0.1:8000';

export default defineConfig({
  plugins: [react(), swagger(), withoutWasmProbe(), precompress()],
  build: {
    target: 'es2022',
    // The content security policy allows no `data:` addresses.
    assetsInlineLimit: 0,
    // BUDGETS are what counts.
    chunkSizeWarningLimit: Number.POSITIVE_INFINITY,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      '/connection': { target: HUB, ws: true },
      '/live': HUB,
      '/emulation': HUB,
      '/.well-known': HUB,
      '/page.json': HUB,
      '/auth': HUB,
      '/api': HUB,
    },
  },
});
