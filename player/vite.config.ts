import tailwind from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  base: './', // what the page names is relative, so that it works below any path
  plugins: [react(), tailwind()],
  resolve: { alias: { '@': new URL('src', import.meta.url).pathname } },
  worker: { format: 'es' },
  build: {
    outDir: '../src/stemwright/web/page',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0, // the page's policy allows no data: scripts
    modulePreload: { polyfill: false },
    manifest: true, // for the test of the first view's size
  },
  server: { proxy: { '/api': { target: 'http://127.0.0.1:8000', ws: true } } },
  test: { include: ['src/**/*.test.ts'], testTimeout: 30_000 },
})
