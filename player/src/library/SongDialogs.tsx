/** Rename, separate again, delete. */

import { useState } from 'react'
import { WayList } from '../add/WayList'
import { errorOf, type Song } from '../api/client'
import { useJobActions, useSongActions, useWays } from '../api/queries'
import { defaultWay, USUAL_LENGTH } from '../api/ways'
import { Button, FIELD } from '../ui/controls'
import { Dialog, say } from '../ui/surfaces'

interface Props {
  song: Song
  open: boolean
  onClose: () => void
}

export function RenameSong({ song, open, onClose }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title="Rename">
      <RenameForm song={song} onClose={onClose} />
    </Dialog>
  )
}

function RenameForm({ song, onClose }: { song: Song; onClose: () => void }) {
  const [title, setTitle] = useState(song.title)
  const [artist, setArtist] = useState(song.artist)
  const { rename } = useSongActions(song.id)
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault()
        rename.mutate({ title: title.trim(), artist: artist.trim() }, { onSuccess: onClose })
      }}
    >
      <label className="text-sm">
        Title
        <input className={`${FIELD} mt-1`} value={title} maxLength={300} required onChange={(event) => setTitle(event.target.value)} />
      </label>
      <label className="text-sm">
        Artist
        <input className={`${FIELD} mt-1`} value={artist} maxLength={300} onChange={(event) => setArtist(event.target.value)} />
      </label>
      {rename.error && <p className="text-sm text-bad">{errorOf(rename.error).message}</p>}
      <Button kind="solid" type="submit" disabled={!title.trim() || rename.isPending} className="justify-self-end">
        Save
      </Button>
    </form>
  )
}

export function SeparateAgain({ song, open, onClose }: Props) {
  return (
    <Dialog open={open} onClose={onClose} title={`Take “${song.title}” apart`} wide>
      <AgainForm song={song} onClose={onClose} />
    </Dialog>
  )
}

function AgainForm({ song, onClose }: { song: Song; onClose: () => void }) {
  const ways = useWays()
  const { create } = useJobActions()
  const [chosen, setChosen] = useState<string | null>(null)
  const way = ways.find((one) => one.strategy === chosen) ?? defaultWay(ways)
  if (!way) return null
  const body = { song_id: song.id, strategy: way.strategy, preview: song.model === null && !way.draft, transcribe: way.stems.includes('drums') }
  return (
    <>
      <WayList ways={ways} chosen={way} onChoose={setChosen} seconds={song.duration ?? USUAL_LENGTH} />
      {create.error && <p className="mt-3 text-sm text-bad">{errorOf(create.error).message}</p>}
      <div className="mt-4 flex justify-end">
        <Button kind="solid" disabled={create.isPending || way.state === 'missing'} onClick={() => create.mutate(body, { onSuccess: onClose })}>
          Take it apart
        </Button>
      </div>
    </>
  )
}

export function DeleteSong({ song, open, onClose, onDeleted }: Props & { onDeleted: () => void }) {
  const { remove } = useSongActions(song.id)
  const confirm = () =>
    remove.mutate(undefined, {
      onSuccess: () => {
        say(`“${song.title}” is deleted.`)
        onDeleted()
      },
    })
  return (
    <Dialog open={open} onClose={onClose} title={`Delete “${song.title}”?`}>
      <p className="text-soft">Its recording, its stems and everything made of them go. What you have taken away stays yours.</p>
      {remove.error && <p className="mt-3 text-sm text-bad">{errorOf(remove.error).message}</p>}
      <div className="mt-6 flex justify-end gap-2">
        <Button kind="outline" onClick={onClose}>
          Keep
        </Button>
        <Button kind="bad" onClick={confirm} disabled={remove.isPending}>
          Delete
        </Button>
      </div>
    </Dialog>
  )
}
