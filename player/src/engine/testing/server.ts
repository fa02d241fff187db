/** A server for tests that answers ranges. */

import { vi } from 'vitest'

/** Answer `fetch` with ranges of these bytes from now on, or with what `disturb` says; gives what was asked for. */
export function serve(
  bytes: Uint8Array<ArrayBuffer>,
  disturb: (asked: number) => Response | Error | null = () => null,
): [start: number, end: number][] {
  const asked: [number, number][] = []
  vi.stubGlobal('fetch', async (_: string, { headers }: { headers: { Range: string } }) => {
    const [start, end] = headers.Range.slice(6).split('-').map(Number) as [number, number]
    asked.push([start, end])
    const other = disturb(asked.length)
    if (other instanceof Error) throw other
    const range = `bytes ${start}-${Math.min(end, bytes.length - 1)}/${bytes.length}`
    const given = { 'Content-Range': range, ETag: '"1"' }
    return other ?? new Response(bytes.slice(start, end + 1), { status: 206, headers: given })
  })
  return asked
}

/** A mono WAV of 32-bit floats. */
export function wavOf(samples: Float32Array, sampleRate: number): Uint8Array<ArrayBuffer> {
  const head = new DataView(new ArrayBuffer(44))
  const text = { 0: 'RIFF', 8: 'WAVEfmt ', 36: 'data' }
  for (const [at, word] of Object.entries(text)) {
    for (const [i, letter] of [...word].entries()) head.setUint8(Number(at) + i, letter.charCodeAt(0))
  }
  head.setUint32(16, 16, true)
  head.setUint16(20, 3, true)
  head.setUint16(22, 1, true)
  head.setUint32(24, sampleRate, true)
  head.setUint16(34, 32, true)
  head.setUint32(40, samples.length * 4, true)
  const bytes = new Uint8Array(44 + samples.length * 4)
  bytes.set(new Uint8Array(head.buffer))
  bytes.set(new Uint8Array(samples.slice().buffer), 44)
  return bytes
}
