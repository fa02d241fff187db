/** Files on their way to the studio: two at a time, shown until they have arrived. */

import { API, ApiError, errorOf, upload, type Job, type Limits, type SongDetail } from '../api/client'
import { limits, refresh, tellJob } from '../api/queries'
import { bytes } from '../lib/format'
import { createStore } from '../lib/store'
import { say } from '../ui/surfaces'
import { sendDirect, type Song } from './direct'

export interface Upload {
  readonly id: number
  readonly name: string
  readonly status: 'waiting' | 'sending' | 'failed'
  readonly sent: number // 0 to 1
  readonly error: ApiError | null
}

interface Parcel {
  readonly name: string
  readonly form: FormData
  readonly path: string
  readonly song?: Song // that may go to the bucket by itself; the form is for where it cannot
  readonly limit?: 'midi_max_bytes' // of each file; that of uploads where it is left out
}

const AT_ONCE = 2
export const uploads = createStore<readonly Upload[]>([])
const parcels = new Map<number, Parcel>()
const stops = new Map<number, AbortController>()
let last = 0
let pause = 0 // until this time nothing is sent: the studio asked for a moment

/** Sends a song to be taken apart. */
export function sendSong(file: File, options: Readonly<Record<string, string>>): void {
  const form = new FormData()
  for (const [name, value] of Object.entries(options)) form.append(name, value)
  form.append('file', file)
  enqueue({ name: file.name, form, path: `${API}/jobs`, song: { file, options, arrived: null } })
}

/** Sends stems, and MIDI with them, as one song. */
export function sendStems(song: { title: string; artist: string }, stems: readonly { name: string; file: File }[]): void {
  const form = new FormData()
  if (song.title) form.append('title', song.title)
  if (song.artist) form.append('artist', song.artist)
  for (const { name, file } of stems) form.append('files', file, `${name}${/\.[^.]+$/.exec(file.name)?.[0] ?? ''}`)
  enqueue({ name: song.title || stems.map((stem) => stem.name).join(' + '), form, path: `${API}/songs` })
}

/** Sends MIDI files to a song of the library. */
export function sendNotes(song: { id: string; title: string }, files: readonly File[]): void {
  const form = new FormData()
  for (const file of files) form.append('files', file)
  enqueue({ name: `MIDI for ${song.title}`, form, path: `${API}/songs/${song.id}/notes`, limit: 'midi_max_bytes' })
}

function enqueue(parcel: Parcel): void {
  last += 1
  parcels.set(last, parcel)
  uploads.set((all) => [...all, { id: last, name: parcel.name, status: 'waiting', sent: 0, error: null }])
  next()
}

export function sendAgain(id: number): void {
  change(id, { status: 'waiting', sent: 0, error: null })
  next()
}

/** Stops an upload, or puts a failed one away. */
export function drop(id: number): void {
  stops.get(id)?.abort()
  forget(id)
}

function change(id: number, to: Partial<Upload>): void {
  uploads.set((all) => all.map((one) => (one.id === id ? { ...one, ...to } : one)))
}

function forget(id: number): void {
  parcels.delete(id)
  uploads.set((all) => all.filter((one) => one.id !== id))
}

function next(): void {
  if (Date.now() < pause) return
  const sending = uploads.get().filter((one) => one.status === 'sending').length
  const waiting = uploads.get().filter((one) => one.status === 'waiting')
  for (const one of waiting.slice(0, Math.max(0, AT_ONCE - sending))) void transfer(one.id)
}

async function transfer(id: number): Promise<void> {
  const parcel = parcels.get(id)
  if (!parcel) return
  const stop = new AbortController()
  stops.set(id, stop)
  change(id, { status: 'sending' })
  try {
    const allowed = await limits().catch(() => null)
    check(parcel, allowed)
    const sending = { onProgress: (sent: number) => change(id, { sent }), signal: stop.signal }
    const direct = parcel.song && allowed?.direct_uploads ? await sendDirect(parcel.song, sending) : null
    const made = direct ?? (await upload<Job | SongDetail>(parcel.path, parcel.form, sending))
    if ('progress' in made) {
      tellJob(made)
      if (made.cached) say(`“${parcel.name}” is here already, made in this way.`)
    } else say(`“${parcel.name}” is here.`)
    refresh()
    forget(id)
  } catch (error) {
    const found = errorOf(error)
    if (found.code === 'too_many_requests' && found.wait) {
      pause = Date.now() + 1000 * found.wait
      change(id, { status: 'waiting', sent: 0 })
      setTimeout(next, 1000 * found.wait + 50)
    } else if (parcels.has(id)) change(id, { status: 'failed', error: found })
  } finally {
    stops.delete(id)
    next()
  }
}

/** Throws an `ApiError` for a file that the studio would refuse, before it is sent. */
function check({ form, limit }: Parcel, allowed: Limits | null): void {
  if (!allowed) return
  const most = allowed[limit ?? 'upload_max_bytes']
  for (const [, file] of form) {
    if (!(file instanceof File) || file.size <= most) continue
    throw new ApiError('too_large', 0, `${file.name}: it has ${bytes(file.size)}, and this studio takes ${bytes(most)}.`)
  }
}

/** A page that is left takes its uploads along: the browser asks first. */
addEventListener('beforeunload', (event) => {
  if (uploads.get().some((one) => one.status !== 'failed')) event.preventDefault()
})
