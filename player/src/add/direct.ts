/** Songs that do not pass through the studio: announced there, sent to its bucket, then submitted by their id. */

import { API, ApiError, put, request, send, type Job, type Opened, type Sending } from '../api/client'

/** A song that may go this way, and how far it has come. */
export interface Song {
  readonly file: File
  readonly options: Readonly<Record<string, string>>
  arrived: string | null // the id of an upload whose file is in the bucket
}

let closed = false // this page does not reach the bucket: nothing more is tried
const FORM_DOES: ReadonlySet<string> = new Set(['too_many_uploads', 'method_not_allowed', 'not_found', 'upload_incomplete', 'conflict'])

/**
 * Sends a song by way of the bucket; null where that does not work, and a form has to do.
 * Throws an `ApiError` for what a form would not get through either, and when it is stopped.
 */
export async function sendDirect(song: Song, sending: Sending): Promise<Job | null> {
  if (closed) return null
  try {
    if (!song.arrived) {
      const known = await bring(song, sending)
      if (known) return await submit(song, { song_id: known })
      if (!song.arrived) return null
    }
    return await submit(song, { upload_id: song.arrived }, song.arrived)
  } catch (error) {
    if (!(error instanceof ApiError) || !FORM_DOES.has(error.code)) throw error
    console.info('The file is sent through the studio:', error.message)
    song.arrived = null
    return null
  }
}

/** Brings a file to the bucket; gives the id of the song that it is already, if it is one. */
async function bring(song: Song, sending: Sending): Promise<string | null> {
  const { file } = song
  const sha256 = await digestOf(file, sending.signal)
  if (!sha256) return null
  const opened = await send<Opened>('POST', `${API}/uploads`, { name: file.name, size_bytes: file.size, sha256 })
  if (opened.song_id) return opened.song_id
  try {
    sending.signal.throwIfAborted()
    await put(opened.url ?? '', opened.headers, file, sending)
    song.arrived = opened.upload_id
  } catch (error) {
    void send('DELETE', `${API}/uploads/${opened.upload_id}`).catch(() => undefined) // nobody will submit it
    if (sending.signal.aborted) throw new ApiError('cancelled', 0, 'The upload was cancelled.')
    closed = error instanceof ApiError && error.status === 0
    sending.onProgress(0)
    console.info('The bucket does not take the file, so it is sent through the studio:', error)
  }
  return null
}

function submit({ options }: Song, which: { song_id: string } | { upload_id: string }, key = ''): Promise<Job> {
  const typed = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, value === 'true' ? true : value]))
  const headers = { 'Content-Type': 'application/json', ...(key && { 'Idempotency-Key': key }) }
  return request<Job>(`${API}/jobs`, { method: 'POST', headers, body: JSON.stringify({ ...typed, ...which }) })
}

/** The SHA-256 of a file; null where it cannot be computed. Throws when it is stopped. */
function digestOf(file: File, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./hasher.worker.ts', import.meta.url), { type: 'module' })
    const finish = (digest: string | null, why?: unknown) => {
      worker.terminate()
      if (why) console.info('The file is sent through the studio:', why)
      resolve(digest)
    }
    worker.addEventListener('message', ({ data }: MessageEvent<{ digest?: string; error?: string }>) => finish(data.digest ?? null, data.error))
    worker.addEventListener('error', (event) => finish(null, event.message || 'the worker does not start'))
    signal.addEventListener('abort', () => {
      worker.terminate()
      reject(new ApiError('cancelled', 0, 'The upload was cancelled.'))
    })
    worker.postMessage(file)
  })
}
