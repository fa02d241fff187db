/** A song's cover: the picture in the first metadata of one of its stems (FLAC, RFC 9639), a few kilobytes by Range. */

import { useQuery } from '@tanstack/react-query'
import { API, answered, request, type SongDetail } from '../api/client'

const HEAD = 8192 // bytes of a first look
const MOST = 4_000_000 // bytes of a picture
const PICTURE = 6
const SHOWN = /^image\/(png|jpeg|webp|gif|avif)$/

export interface Picture {
  readonly mime: string
  readonly start: number
  readonly end: number
}

/** Finds the picture in the first bytes of a FLAC file; null where there is none in reach. */
export function pictureIn(buffer: ArrayBuffer): Picture | null {
  const data = new DataView(buffer)
  if (buffer.byteLength < 8 || data.getUint32(0) !== 0x664c6143) return null // "fLaC"
  for (let at = 4, last = false; !last && at + 4 <= buffer.byteLength; ) {
    const head = data.getUint32(at)
    last = head >>> 31 === 1
    if (((head >>> 24) & 0x7f) === PICTURE) return pictureAt(data, at + 4)
    at += 4 + (head & 0xffffff)
  }
  return null
}

function pictureAt(data: DataView, at: number): Picture | null {
  try {
    const mimeLength = data.getUint32(at + 4)
    const mime = new TextDecoder().decode(new Uint8Array(data.buffer, at + 8, mimeLength))
    const text = at + 8 + mimeLength
    const size = text + 4 + data.getUint32(text) + 16
    const start = size + 4
    const length = data.getUint32(size)
    return SHOWN.test(mime) && length > 0 && length <= MOST ? { mime, start, end: start + length } : null
  } catch {
    return null // it goes on behind the bytes that we have: too long a text to care
  }
}

async function coverOf(song: string, signal: AbortSignal): Promise<string | null> {
  const detail = await request<SongDetail>(`${API}/songs/${song}`, { signal })
  const url = detail.separations.find((one) => one.id === detail.separation)?.stems[0]?.url
  if (!url) return null
  const part = (from: number, to: number) => answered(url, { signal, headers: { Range: `bytes=${from}-${to - 1}` } })
  const picture = pictureIn(await (await part(0, HEAD)).arrayBuffer())
  if (!picture) return null
  const bytes = await (await part(picture.start, picture.end)).arrayBuffer()
  return URL.createObjectURL(new Blob([bytes], { type: picture.mime }))
}

/** The address of a song's cover in this page; null while there is none. */
export function useCover(song: string, ready: boolean): string | null {
  const { data } = useQuery({
    queryKey: ['cover', song],
    queryFn: ({ signal }) => coverOf(song, signal),
    enabled: ready,
    staleTime: Infinity,
    gcTime: Infinity,
    retry: false,
  })
  return data ?? null
}
