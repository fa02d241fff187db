/** A song: heard, seen, mixed. */

import { ArrowLeft } from 'lucide-react'
import { useState } from 'react'
import { ApiError, advice, errorOf, sentence, type Job, type SongDetail } from '../api/client'
import { useChart, useJobActions, useJobs, useSong } from '../api/queries'
import { failedJobOf, liveJobOf, progressOf, stageOf } from '../library/jobs'
import { SeparateAgain } from '../library/SongDialogs'
import { complain } from '../library/SongRow'
import { useTitle } from '../lib/route'
import { Link } from '../ui/Link'
import { Button, Progress } from '../ui/controls'
import { Desk, FRAME } from './Desk'
import { SongHeader } from './SongHeader'
import { useEngine } from './mixer'
import { sourceOf } from './source'

export default function SongView({ id }: { id: string }) {
  const song = useSong(id)
  const { data: jobs = [] } = useJobs()
  useTitle(song.data?.title ?? '')
  if (song.isError) return <Gone error={errorOf(song.error)} onRetry={() => void song.refetch()} />
  if (!song.data) return <div className="h-dvh" />
  return <Opened key={id} song={song.data} job={liveJobOf(jobs, id)} failed={failedJobOf(jobs, id, [])} />
}

function Opened({ song, job, failed }: { song: SongDetail; job: Job | undefined; failed: Job | undefined }) {
  const source = sourceOf(song, job)
  const { opened, failure, again } = useEngine(song, source)
  const chart = useChart(source?.chart)
  if (opened && !chart.isLoading) return <Desk song={song} job={job} engine={opened.engine} source={opened.source} chart={chart.data} />
  return (
    <div className={FRAME}>
      <SongHeader song={song} job={job} />
      {failure ? (
        <Middle>
          <p className="text-bad">{failure}</p>
          <Button kind="outline" onClick={again}>
            Try again
          </Button>
        </Middle>
      ) : source ? (
        <Middle>
          <p role="status" className="text-faint">
            Opening …
          </p>
        </Middle>
      ) : (
        <Waiting song={song} job={job} failed={failed} />
      )}
    </div>
  )
}

function Middle({ children }: { children: React.ReactNode }) {
  return <div className="mx-auto flex min-h-[60dvh] max-w-lg flex-col items-center justify-center gap-4 px-6 text-center">{children}</div>
}

/** A song that has no stems yet. */
function Waiting({ song, job, failed }: { song: SongDetail; job: Job | undefined; failed: Job | undefined }) {
  const [open, setOpen] = useState(false)
  const { cancel } = useJobActions()
  if (job)
    return (
      <Middle>
        <p className="text-xl font-semibold tracking-tight">{stageOf(job)}</p>
        <Progress label={stageOf(job)} value={job.status === 'queued' ? 0 : job.progress} className="w-72" />
        <p className="tabular h-6 text-faint">{progressOf(job)}</p>
        <p className="text-soft">You can leave this page: the work goes on.</p>
        <Button kind="outline" onClick={() => cancel.mutate(job.id, { onError: complain })} disabled={cancel.isPending}>
          Cancel
        </Button>
      </Middle>
    )
  return (
    <Middle>
      <p className="text-xl font-semibold tracking-tight">{failed ? 'It could not be taken apart' : 'Not taken apart yet'}</p>
      {failed?.error && (
        <p className="wrap-anywhere text-soft">
          {sentence(failed.error.message)} {advice(failed.error.code)}
        </p>
      )}
      {song.kind === 'recording' && (
        <Button kind="solid" onClick={() => setOpen(true)}>
          Take it apart
        </Button>
      )}
      <SeparateAgain song={song} open={open} onClose={() => setOpen(false)} />
    </Middle>
  )
}

function Gone({ error, onRetry }: { error: ApiError; onRetry: () => void }) {
  return (
    <Middle>
      <h1 className="text-xl font-semibold tracking-tight">{error.status === 404 ? 'This song is not here' : error.message}</h1>
      <p className="text-soft">{error.status === 404 ? 'It was deleted, or the address is wrong.' : advice(error.code)}</p>
      {error.status !== 404 && (
        <Button kind="outline" onClick={onRetry}>
          Try again
        </Button>
      )}
      <Link to="/" className="inline-flex items-center gap-2 text-soft hover:text-ink">
        <ArrowLeft size={16} aria-hidden /> Your songs
      </Link>
    </Middle>
  )
}
