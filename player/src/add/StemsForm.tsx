/** Stems that one has: one song, each file named as its stem is. */

import { useState } from 'react'
import { colourOf, stemOfFile, wordsOfFile } from '../lib/roles'
import { count } from '../lib/format'
import { go } from '../lib/route'
import { Button, FIELD } from '../ui/controls'
import { kindOf } from './files'
import { FileRow, Section } from './parts'
import { clearStage } from './staged'
import { sendStems } from './uploads'

const MOST = 32 // files of one import

/** What is wrong with the names of stems, in a sentence; null where nothing is. */
export function faultOf(names: readonly string[]): string | null {
  const plain = names.map((name) => name.trim().toLowerCase())
  if (plain.some((name) => !name)) return 'Each stem needs a name.'
  const twice = plain.find((name, at) => plain.indexOf(name) < at)
  if (twice) return `Two stems are called ${twice}. Give each a name of its own.`
  if (plain.some((name) => /[/\\]/.test(name))) return 'A name cannot hold a slash.'
  if (plain.some((name) => ['start', 'end', 'separation'].includes(name))) return 'start, end and separation mean something else: choose another name.'
  return plain.length > MOST ? `One song can have ${MOST} files at most.` : null
}

/** First names for stems: guessed from their files; where several would be called the same, in the files' own words, told apart by a number. */
export function firstNames(files: readonly File[]): string[] {
  const guesses = files.map((file) => stemOfFile(file.name))
  const names: string[] = []
  for (const [at, file] of files.entries()) {
    const guess = guesses[at] ?? ''
    const first = guesses.indexOf(guess) === guesses.lastIndexOf(guess) ? guess : wordsOfFile(file.name)
    let [name, number] = [first, 2]
    while (names.includes(name)) [name, number] = [`${first}_${number}`, number + 1]
    names.push(name)
  }
  return names
}

export function StemsForm({ files }: { files: readonly File[] }) {
  const [own, setOwn] = useState<ReadonlyMap<File, string>>(new Map())
  const [song, setSong] = useState({ title: '', artist: '' })
  const stems = files.filter((file) => kindOf(file) === 'audio')
  const notes = files.filter((file) => kindOf(file) === 'midi')
  const guesses = firstNames(stems)
  const names = stems.map((file, at) => own.get(file) ?? guesses[at] ?? '')
  const fault = faultOf(names)
  if (files.length === 0) return null
  const start = () => {
    const parts = stems.map((file, at) => ({ name: (names[at] ?? '').trim(), file }))
    const midi = notes.map((file) => ({ name: file.name.replace(/\.[^.]+$/, ''), file }))
    sendStems({ title: song.title.trim(), artist: song.artist.trim() }, [...parts, ...midi])
    clearStage()
    go('/')
  }
  return (
    <>
      <ul className="mt-4 divide-y divide-line">
        {stems.map((file, at) => (
          <FileRow key={`${file.name} ${file.size}`} file={file}>
            <span className="size-2.5 shrink-0 rounded-full" style={{ background: colourOf(names[at] ?? '') }} />
            <input
              aria-label={`Name of the stem in ${file.name}`}
              value={names[at]}
              maxLength={60}
              onChange={(event) => setOwn(new Map(own).set(file, event.target.value))}
              className={`${FIELD} max-w-32 sm:max-w-44`}
            />
          </FileRow>
        ))}
        {notes.map((file) => (
          <FileRow key={`${file.name} ${file.size}`} file={file} note="MIDI" />
        ))}
      </ul>
      <Section title="The song">
        <div className="grid gap-3 sm:grid-cols-2">
          <label className="text-sm">
            Title
            <input className={`${FIELD} mt-1`} value={song.title} maxLength={300} onChange={(event) => setSong({ ...song, title: event.target.value })} />
          </label>
          <label className="text-sm">
            Artist
            <input className={`${FIELD} mt-1`} value={song.artist} maxLength={300} onChange={(event) => setSong({ ...song, artist: event.target.value })} />
          </label>
        </div>
      </Section>
      {stems.length === 0 && <p className="mt-4 text-sm text-warn">Add at least one recording; MIDI alone goes to a song that is here, under “MIDI stems”.</p>}
      {fault && <p className="mt-4 text-sm text-warn">{fault}</p>}
      <div className="sticky bottom-0 mt-4 bg-linear-to-t from-canvas from-60% to-transparent pt-8 pb-5">
        <Button kind="solid" className="w-full sm:w-auto" disabled={stems.length === 0 || fault !== null} onClick={start}>
          Add {count(stems.length, 'stem')} as a song
        </Button>
      </div>
    </>
  )
}
