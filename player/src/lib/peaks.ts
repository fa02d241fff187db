/** Waveform overviews: BBC audiowaveform's .dat, and their lowest and highest values over any span of time. */

export interface Peaks {
  readonly sampleRate: number
  /** Finest first; each level joins four pixels of the one before. */
  readonly levels: readonly Level[]
  /** Highest magnitude, 0 to 1. */
  readonly highest: number
}

interface Level {
  readonly samplesPerPixel: number
  readonly length: number
  readonly values: Float32Array // lowest, highest of each pixel, -1 to 1
}

const STEP = 4
const COARSEST = 512 // pixels below which another level pays nothing

/** Reads a .dat of version 1 or 2, 8 or 16 bits; channels are joined. Throws a RangeError for what is none. */
export function readPeaks(buffer: ArrayBuffer): Peaks {
  const data = new DataView(buffer)
  if (buffer.byteLength < 20) throw new RangeError('not a waveform overview')
  const version = data.getInt32(0, true)
  if (version !== 1 && version !== 2) throw new RangeError(`a waveform overview of version ${version}`)
  const head = version === 1 ? 20 : 24
  const bits = data.getUint32(4, true) & 1 ? 8 : 16
  const [sampleRate, samplesPerPixel] = [data.getInt32(8, true), data.getInt32(12, true)]
  const length = data.getUint32(16, true)
  const channels = version === 1 ? 1 : data.getInt32(20, true)
  if (sampleRate <= 0 || samplesPerPixel <= 0 || channels <= 0 || channels > 24) throw new RangeError('a damaged overview')
  if (buffer.byteLength < head + length * channels * 2 * (bits / 8)) throw new RangeError('a cut waveform overview')
  const raw = bits === 8 ? new Int8Array(buffer, head) : new Int16Array(buffer, head)
  const values = joined(raw, length, channels, bits === 8 ? 127 : 32767)
  const levels: Level[] = [{ samplesPerPixel, length, values }]
  for (let last = levels[0]; last && last.length > COARSEST; last = levels.at(-1)) levels.push(coarser(last))
  return { sampleRate, levels, highest: values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) }
}

const COLUMNS = 2048 // of an overview of several

/** Several overviews as one: the magnitudes of unrelated sounds, the root of the sum of their squares. */
export function together(all: readonly Peaks[]): Peaks | undefined {
  const [first] = all
  if (!first) return undefined
  const seconds = Math.max(...all.map(({ levels: [finest], sampleRate }) => (finest ? (finest.length * finest.samplesPerPixel) / sampleRate : 0)))
  const values = new Float32Array(2 * COLUMNS)
  for (const peaks of all) for (const [at, value] of columnsOf(peaks, 0, seconds, COLUMNS).entries()) values[at] = (values[at] ?? 0) + value * value
  for (const [at, value] of values.entries()) values[at] = Math.sqrt(value) * (at % 2 ? 1 : -1)
  const level = { samplesPerPixel: (seconds * first.sampleRate) / COLUMNS, length: COLUMNS, values }
  return { sampleRate: first.sampleRate, levels: [level], highest: values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) }
}

function joined(raw: Int8Array | Int16Array, length: number, channels: number, full: number): Float32Array {
  const values = new Float32Array(2 * length)
  for (let pixel = 0; pixel < length; pixel += 1) {
    let [low, high] = [Infinity, -Infinity]
    for (let at = pixel * channels * 2; at < (pixel + 1) * channels * 2; at += 2) {
      low = Math.min(low, raw[at] ?? 0)
      high = Math.max(high, raw[at + 1] ?? 0)
    }
    values[2 * pixel] = low / full
    values[2 * pixel + 1] = high / full
  }
  return values
}

function coarser(fine: Level): Level {
  const length = Math.ceil(fine.length / STEP)
  const values = new Float32Array(2 * length)
  for (let pixel = 0; pixel < length; pixel += 1) {
    const [low, high] = extremes(fine.values, pixel * STEP, Math.min(fine.length, (pixel + 1) * STEP))
    values[2 * pixel] = low
    values[2 * pixel + 1] = high
  }
  return { samplesPerPixel: fine.samplesPerPixel * STEP, length, values }
}

function extremes(values: Float32Array, from: number, to: number): [number, number] {
  let [low, high] = [Infinity, -Infinity]
  for (let pixel = from; pixel < to; pixel += 1) {
    low = Math.min(low, values[2 * pixel] ?? 0)
    high = Math.max(high, values[2 * pixel + 1] ?? 0)
  }
  return low > high ? [0, 0] : [low, high]
}

/**
 * Lowest and highest value in each of `columns` equal parts of the seconds from `start` to `end`: [columns, 2], silence
 * outside of the song.
 */
export function columnsOf(peaks: Peaks, start: number, end: number, columns: number): Float32Array {
  const samples = ((end - start) * peaks.sampleRate) / columns // of a column
  const level = peaks.levels.findLast((one) => one.samplesPerPixel <= samples) ?? peaks.levels[0]
  const out = new Float32Array(2 * columns)
  if (!level) return out
  const [scale, first] = [samples / level.samplesPerPixel, (start * peaks.sampleRate) / level.samplesPerPixel]
  for (let column = 0; column < columns; column += 1) {
    const from = Math.floor(first + column * scale)
    const to = Math.max(from + 1, Math.floor(first + (column + 1) * scale))
    if (to <= 0 || from >= level.length) continue
    const [low, high] = extremes(level.values, Math.max(0, from), Math.min(level.length, to))
    out[2 * column] = low
    out[2 * column + 1] = high
  }
  return out
}
