/** What is on its way to the library, and what did not make it. */

import { RotateCw, TriangleAlert, Upload as UploadIcon, X } from 'lucide-react'
import { advice, blamed, type Job } from '../api/client'
import { drop, sendAgain, type Upload } from '../add/uploads'
import { Button, Progress } from '../ui/controls'
import { putAway } from './away'

const ROW = 'flex items-center gap-4 border-t border-line py-3 min-h-19'

export function UploadRow({ upload }: { upload: Upload }) {
  const { id, name, status, sent, error } = upload
  if (error) {
    const { file, text } = blamed(error.message)
    return (
      <li className={ROW}>
        <Sign />
        <Words title={name} message={file === name ? text : error.message} code={error.code} />
        {(error.status < 400 || error.status === 429 || error.status >= 500) && (
          <Button kind="outline" size="small" onClick={() => sendAgain(id)}>
            <RotateCw size={14} aria-hidden /> Try again
          </Button>
        )}
        <Away name={name} onClick={() => drop(id)} />
      </li>
    )
  }
  const percent = Math.floor(sent * 100)
  return (
    <li className={ROW}>
      <span className="flex size-12 shrink-0 items-center justify-center rounded-lg bg-sunk text-faint">
        <UploadIcon size={18} aria-hidden />
      </span>
      <div className="min-w-0 grow">
        <p className="truncate font-medium">{name}</p>
        <p className="tabular text-sm text-faint">{status === 'waiting' ? 'Waits for its upload' : percent < 100 ? `Uploading · ${percent} %` : 'Arrived; being looked at'}</p>
        <Progress label={`Upload of ${name}`} value={percent} className="mt-1.5" />
      </div>
      <Away name={name} onClick={() => drop(id)} />
    </li>
  )
}

/** A job whose upload was no song. */
export function Trouble({ job }: { job: Job }) {
  const { file, text } = blamed(job.error?.message ?? '')
  return (
    <li className={ROW}>
      <Sign />
      <Words title={file || 'A file could not be used'} message={text} code={job.error?.code ?? ''} />
      <Away name={file || 'this'} onClick={() => putAway(job.id)} />
    </li>
  )
}

function Sign() {
  return (
    <span className="flex size-12 shrink-0 items-center justify-center rounded-lg bg-bad/10 text-bad">
      <TriangleAlert size={18} aria-hidden />
    </span>
  )
}

function Words({ title, message, code }: { title: string; message: string; code: string }) {
  return (
    <div role="alert" className="min-w-0 grow">
      <p className="truncate font-medium">{title}</p>
      <p className="text-sm wrap-anywhere text-bad">{message}</p>
      {advice(code) && <p className="text-sm text-soft">{advice(code)}</p>}
    </div>
  )
}

function Away({ name, onClick }: { name: string; onClick: () => void }) {
  return (
    <Button size="icon" aria-label={`Put ${name} away`} onClick={onClick}>
      <X size={17} aria-hidden />
    </Button>
  )
}
