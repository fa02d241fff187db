/** The worker that computes a file's SHA-256, so that the page goes on meanwhile. */

import { sha256 } from './sha256'

self.onmessage = async ({ data }: MessageEvent<File>) => {
  try {
    self.postMessage({ digest: await sha256(data) })
  } catch (error) {
    self.postMessage({ error: String(error) })
  }
}
