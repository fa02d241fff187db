/** Files that are dropped or chosen: folders opened, recordings and MIDI told apart. */

const AUDIO = /\.(wav|flac|mp3|ogg|oga|opus|aac|m4a|m4b|mp4|m4v|mov|mkv|mka|webm|aif|aiff|aifc|wma|caf|alac)$/i
const MIDI = /\.midi?$/i

export const ACCEPTED = 'audio/*,video/*,.flac,.opus,.mka,.mkv,.aif,.aiff,.m4a,.wma,.mid,.midi'

export type Kind = 'audio' | 'midi' | 'neither'

export function kindOf(file: { readonly name: string; readonly type: string }): Kind {
  if (MIDI.test(file.name) || /midi/.test(file.type)) return 'midi'
  return AUDIO.test(file.name) || /^(audio|video)\//.test(file.type) ? 'audio' : 'neither'
}

/** What a drop holds, its folders opened, in the order of their names; hidden files are left out. */
export async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => (item.kind === 'file' ? item.webkitGetAsEntry() : null))
  if (entries.every((entry) => entry === null)) return [...transfer.files]
  const files = (await Promise.all(entries.map((entry) => (entry ? opened(entry) : [])))).flat()
  return tidy(files)
}

async function opened(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) return [await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))]
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const found: File[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)) // 100 at most
    if (some.length === 0) return found
    found.push(...(await Promise.all(some.map(opened))).flat())
  }
}

/** Without hidden files, in the order of their names. */
export function tidy(files: readonly File[]): File[] {
  return files.filter((file) => !file.name.startsWith('.')).toSorted((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))
}

/** Stages files among others: each once. */
export function joined(staged: readonly File[], more: readonly File[]): File[] {
  const known = new Set(staged.map(mark))
  return [...staged, ...more.filter((file) => !known.has(mark(file)))]
}

const mark = (file: File): string => `${file.name} ${file.size} ${file.lastModified}`

/** How long a recording is, as far as the browser can tell without reading it; null where it cannot. */
export function lengthOf(file: File): Promise<number | null> {
  return new Promise((resolve) => {
    const audio = new Audio()
    const url = URL.createObjectURL(file)
    const finish = (seconds: number | null) => {
      clearTimeout(timer)
      audio.removeAttribute('src')
      URL.revokeObjectURL(url)
      resolve(seconds !== null && Number.isFinite(seconds) && seconds > 0 ? seconds : null)
    }
    const timer = setTimeout(() => finish(null), 3_000)
    audio.preload = 'metadata'
    audio.addEventListener('loadedmetadata', () => finish(audio.duration))
    audio.addEventListener('error', () => finish(null))
    audio.src = url
  })
}
