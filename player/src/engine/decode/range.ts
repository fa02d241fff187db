/** Parts of a file over HTTP. */

import { FetchError } from './errors'

const LONGEST_WAIT = 5 // seconds between two tries

/** Reads byte ranges of one file; tries again while the network or the server is away. */
export class RangeFile {
  private tag: string | null = null
  size = Infinity // bytes; known after the first read

  constructor(
    private readonly url: string,
    private readonly ended: AbortSignal,
  ) {}

  /** What a person may know it by: `vocals.flac`. */
  get name(): string {
    return this.url.replace(/[?#].*/, '').replace(/.*\//, '')
  }

  /** Bytes from `start` to before `end`, fewer at the file's end. `FetchError` where the server refuses. */
  async read(start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (start >= Math.min(end, this.size)) return new Uint8Array()
    for (let tries = 0; ; tries++) {
      const outcome = await this.once(start, end)
      if (outcome instanceof Uint8Array) return outcome
      this.ended.throwIfAborted()
      await new Promise((go) => setTimeout(go, (outcome || Math.min(LONGEST_WAIT, 0.2 * 2 ** tries)) * 1000))
      this.ended.throwIfAborted()
    }
  }

  /** The bytes, or the seconds to wait (0: as long as we like). */
  private async once(start: number, end: number): Promise<Uint8Array<ArrayBuffer> | number> {
    let response: Response
    try {
      response = await fetch(this.url, { headers: { Range: `bytes=${start}-${end - 1}` }, signal: this.ended })
      const { status } = response
      if (status === 429 || status >= 500) return Number(response.headers.get('Retry-After')) || 0
      if (response.status === 206) {
        this.check(response)
        return new Uint8Array(await response.arrayBuffer())
      }
    } catch (error) {
      if (error instanceof FetchError) throw error
      return 0
    }
    throw new FetchError(`${this.name}: the server answers ${response.status}, not a part of it`)
  }

  private check(response: Response): void {
    const tag = response.headers.get('ETag')
    if (this.tag !== null && tag !== this.tag) throw new FetchError(`${this.name} has changed: open the song again`)
    this.tag = tag
    this.size = Number(response.headers.get('Content-Range')?.split('/')[1])
    if (!Number.isFinite(this.size)) throw new FetchError(`${this.name}: the server does not tell its size`)
  }
}
