/** The studio's API: typed, its problems as errors that say what to do. */

import { BASE } from '../lib/base'
import type { components } from './schema'

type Schemas = components['schemas']
export type Song = Schemas['SongBrief']
export type SongDetail = Schemas['SongOut']
export type SongPage = Schemas['SongPage']
export type Separation = Schemas['SeparationOut']
export type Job = Schemas['JobOut']
export type JobPage = Schemas['JobPage']
export type Model = Schemas['ModelOut']
export type ModelList = Schemas['ModelList']
export type Strategy = Schemas['StrategyOut']
export type StrategyList = Schemas['StrategyList']
export type Results = Schemas['Results']
export type FleetState = Schemas['FleetState']
export type Limits = Schemas['LimitsOut']
export type Opened = Schemas['UploadOut']
type Problem = Schemas['Problem']

export const API = `${BASE}api/v1`

/** What the studio, or the way to it, said no to. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    message: string,
    readonly wait: number | null = null, // seconds after which the studio wants to be asked again
  ) {
    super(message)
    this.name = 'ApiError'
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  not_audio: 'This is not a recording. Choose a WAV, FLAC, MP3, Ogg, Opus, AAC, ALAC, AIFF or WMA file, or a video with sound.',
  unsupported: 'Save it as WAV, FLAC or MP3 and add it again.',
  no_audio_stream: 'The file has pictures but no sound. Choose another one.',
  corrupt: 'The file is damaged. Open it in another player; if it plays there, save it anew and add that.',
  empty: 'There is no sound in the file. Was it cut off on its way here?',
  too_large: 'Save it as FLAC or MP3, which are smaller, or ask who runs this studio for a higher limit.',
  too_long: 'Cut it into shorter pieces, or ask who runs this studio for a higher limit.',
  decode_timeout: 'It takes too long to read. Save it as WAV or FLAC and add it again.',
  storage_unavailable: 'The studio does not reach its files at the moment. Try again.',
  disk_full: 'Delete songs that you no longer need, then try again.',
  out_of_memory: 'Close other programs, or choose a smaller model, then try again.',
  model_unavailable: 'Choose another way of separating, or install what it needs.',
  bad_weights: 'Remove the downloaded weights of this model and try again.',
  no_drum_stem: 'Turn the drum chart off, or choose a way that gives drums.',
  timeout: 'Try again, or choose a quicker way.',
  engine_crashed: 'Try again. If it happens again, choose another way of separating.',
  too_many_requests: 'Wait a moment, then try again.',
  offline: 'The studio does not answer. Is it still running? This page goes on as soon as it does.',
  stopped: 'It did not arrive. Try again.',
}

/** What one can do about an error, in a sentence; empty where its message says all. */
export function advice(code: string): string {
  return ADVICE[code] ?? ''
}

/** Asks the API. Throws an `ApiError`. */
export async function request<T>(path: string, options: RequestInit = {}): Promise<T> {
  const response = await answered(path, options)
  return (response.status === 204 ? undefined : await response.json()) as T
}

/** Asks for anything, and gives the answer as it is when it is a good one. Throws an `ApiError`. */
export async function answered(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, options)
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new ApiError('offline', 0, 'The studio does not answer.')
  }
  if (!response.ok) throw problemOf(response.status, await response.text(), response.headers.get('Retry-After'))
  return response
}

/** Sends JSON. */
export function send<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
  return request<T>(path, { method, ...json })
}

export interface Sending {
  readonly onProgress: (sent: number) => void // 0 to 1
  readonly signal: AbortSignal
}

/** Sends a form with files. Throws an `ApiError`. */
export async function upload<T>(path: string, form: FormData, sending: Sending): Promise<T> {
  return JSON.parse(await transmit('POST', path, form, {}, sending)) as T
}

const OWN: ReadonlySet<string> = new Set(['content-length', 'host']) // headers that browsers send by themselves, and let nobody set
const FIRST = 20_000 // ms within which the first byte must have gone: some networks swallow what they do not let through

/** Sends a file to where the studio says, perhaps to its bucket. Throws an `ApiError`; status 0 if nothing came back. */
export async function put(url: string, headers: Readonly<Record<string, string>>, file: File, sending: Sending): Promise<void> {
  const settable = Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN.has(name)))
  const slow = new AbortController()
  const timer = setTimeout(() => slow.abort(), FIRST)
  const onProgress = (sent: number) => {
    if (sent > 0) clearTimeout(timer)
    sending.onProgress(sent)
  }
  try {
    const bytes = file.slice() // without a type: Content-Type is not signed
    await transmit('PUT', url, bytes, settable, { onProgress, signal: AbortSignal.any([sending.signal, slow.signal]) })
  } finally {
    clearTimeout(timer)
  }
}

/** Sends a body and tells how far it is, which `fetch` cannot; gives the answer's text. Throws an `ApiError`. */
function transmit(method: string, url: string, body: FormData | Blob, headers: Readonly<Record<string, string>>, { onProgress, signal }: Sending): Promise<string> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest()
    const fail = (code: string, message: string) => reject(new ApiError(code, 0, message))
    xhr.upload.addEventListener('progress', (event) => event.lengthComputable && onProgress(event.loaded / event.total))
    xhr.addEventListener('load', () => {
      if (xhr.status < 300) resolve(xhr.responseText)
      else reject(problemOf(xhr.status, xhr.responseText, xhr.getResponseHeader('Retry-After')))
    })
    xhr.addEventListener('error', () => fail('stopped', 'The connection was lost.'))
    xhr.addEventListener('abort', () => fail('cancelled', 'The upload was cancelled.'))
    signal.addEventListener('abort', () => xhr.abort())
    xhr.open(method, url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.send(body)
  })
}

function problemOf(status: number, text: string, wait: string | null = null): ApiError {
  try {
    const problem = JSON.parse(text) as Problem
    return new ApiError(problem.code, status, sentence(problem.detail), Number(wait) || null)
  } catch {
    return new ApiError('internal', status, `The studio answered with ${status}.`)
  }
}

const BLAMED = /^([^:]+\.\w{1,5}): (.+)$/s

/** A message as a sentence: the API writes them without a capital and a full stop. A file that it begins with keeps its name. */
export function sentence(text: string): string {
  const trimmed = text.trim()
  if (!trimmed) return ''
  const first = BLAMED.test(trimmed) ? trimmed.charAt(0) : trimmed.charAt(0).toUpperCase()
  return `${first}${trimmed.slice(1)}${/[.!?…]$/.test(trimmed) ? '' : '.'}`
}

/** A message in two: the file that it blames, empty where it names none, and the rest as a sentence. */
export function blamed(message: string): { file: string; text: string } {
  const [, file = '', text = message] = BLAMED.exec(message) ?? []
  return { file, text: sentence(text) }
}

/** An error of any kind as an `ApiError`. */
export function errorOf(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError('internal', 0, sentence(error instanceof Error ? error.message : String(error)))
}
