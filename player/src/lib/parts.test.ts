import { expect, it, vi } from 'vitest'
import { PartError, addressIn, buildOf, fetchPart } from './parts'

it('fetches a part again that did not come', async () => {
  const part = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new TypeError('away')).mockResolvedValue('here')
  expect(await fetchPart(part, [0, 0])).toBe('here')
  expect(part).toHaveBeenCalledTimes(2)
})

it('gives up after some tries', async () => {
  const part = vi.fn<() => Promise<string>>().mockRejectedValue(new TypeError('away'))
  await expect(fetchPart(part, [0, 0])).rejects.toThrow(PartError)
  expect(part).toHaveBeenCalledTimes(3)
})

it('knows a build by the name of its script', () => {
  const html = '<script type="module" crossorigin src="../assets/index-abc.js"></script>'
  expect(buildOf(html)).toBe('assets/index-abc.js')
  expect(buildOf(html.replace('../', './'))).toBe('assets/index-abc.js')
  expect(buildOf('<h1>502 Bad Gateway</h1>')).toBeNull()
})

it('reads the address out of what browsers say', () => {
  const address = 'http://127.0.0.1:8000/assets/SongView-a.js'
  expect(addressIn(new TypeError(`Failed to fetch dynamically imported module: ${address}`))).toBe(address)
  expect(addressIn(new TypeError('Importing a module script failed.'))).toBeNull()
  expect(addressIn('nothing')).toBeNull()
})
