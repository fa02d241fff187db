import { describe, expect, it } from 'vitest'
import { sha256, Sha256 } from './sha256'

const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7919 + (i >>> 8)) & 255)

async function known(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

describe('SHA-256', () => {
  it('is that of the standard', () => {
    expect(new Sha256().end()).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(new Sha256().update(new TextEncoder().encode('abc')).end()).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  })

  it.each([1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1000])('takes %i bytes', async (length) => {
    expect(new Sha256().update(bytesOf(length)).end()).toBe(await known(bytesOf(length)))
  })

  it('does not depend on how bytes are cut', async () => {
    const bytes = bytesOf(10_000)
    for (const step of [1, 3, 63, 64, 65, 4096]) {
      const digest = new Sha256()
      for (let at = 0; at < bytes.length; at += step) digest.update(bytes.subarray(at, at + step))
      expect(digest.end()).toBe(await known(bytes))
    }
  })

  it('reads a file of many pieces', async () => {
    const bytes = bytesOf((9 << 20) + 17)
    expect(await sha256(new Blob([bytes]))).toBe(await known(bytes))
  })
})
