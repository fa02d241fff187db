/** SHA-256 (FIPS 180-4) of bytes that come in pieces. WebCrypto wants a whole file in memory, and a page by https. */

const BLOCK = 64 // bytes
const PIECE = 4 << 20 // bytes of a file that are read at once

/** The first bits of the fractional parts of the roots of the first primes, as the standard has its constants. */
function fractions(count: number, root: (prime: number) => number): Uint32Array {
  const primes: number[] = []
  for (let n = 2; primes.length < count; n += 1) if (primes.every((prime) => n % prime !== 0)) primes.push(n)
  return Uint32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32)
}

const START = fractions(8, Math.sqrt)
const ROUNDS = fractions(64, Math.cbrt)

export class Sha256 {
  private readonly state = Uint32Array.from(START)
  private readonly words = new Uint32Array(64)
  private readonly rest = new Uint8Array(BLOCK)
  private filled = 0 // bytes of `rest`
  private length = 0 // bytes so far

  /** Takes the next bytes. */
  update(bytes: Uint8Array): this {
    this.length += bytes.length
    let at = 0
    if (this.filled > 0) {
      at = Math.min(BLOCK - this.filled, bytes.length)
      this.rest.set(bytes.subarray(0, at), this.filled)
      this.filled += at
      if (this.filled < BLOCK) return this
      this.mix(new DataView(this.rest.buffer), 0)
      this.filled = 0
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.mix(view, at)
    this.rest.set(bytes.subarray(at))
    this.filled = bytes.length - at
    return this
  }

  /** The digest in hexadecimal; nothing can be added after. */
  end(): string {
    const bits = this.length * 8
    const padding = new Uint8Array((this.filled < 56 ? 64 : 128) - this.filled)
    padding[0] = 0x80
    const view = new DataView(padding.buffer)
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32))
    view.setUint32(padding.length - 4, bits % 2 ** 32)
    this.update(padding)
    return [...this.state].map((word) => word.toString(16).padStart(8, '0')).join('')
  }

  private mix(view: DataView, at: number): void {
    const { state, words } = this
    for (let i = 0; i < 16; i += 1) words[i] = view.getUint32(at + 4 * i)
    for (let i = 16; i < 64; i += 1) {
      const [x, y] = [words[i - 15] as number, words[i - 2] as number]
      const low = turned(x, 7) ^ turned(x, 18) ^ (x >>> 3)
      const high = turned(y, 17) ^ turned(y, 19) ^ (y >>> 10)
      words[i] = (words[i - 16] as number) + low + (words[i - 7] as number) + high
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
    for (let i = 0; i < 64; i += 1) {
      const choice = (e & f) ^ (~e & g)
      const one = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + choice + (ROUNDS[i] as number) + (words[i] as number)) | 0
      const two = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
      h = g
      g = f
      f = e
      e = (d + one) | 0
      d = c
      c = b
      b = a
      a = (one + two) | 0
    }
    const mixed = [a, b, c, d, e, f, g, h]
    for (let i = 0; i < 8; i += 1) state[i] = (state[i] as number) + (mixed[i] as number)
  }
}

const turned = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits))

/** The SHA-256 of a file, which is read piece by piece. */
export async function sha256(file: Blob): Promise<string> {
  const digest = new Sha256()
  for (let at = 0; at < file.size; at += PIECE) digest.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()))
  return digest.end()
}
