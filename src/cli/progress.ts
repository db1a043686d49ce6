/** What is going on while something takes long: one line that is written over in a terminal, plain lines elsewhere. */
export interface Progress {
  step(text: string): void
  /** A step during which others write too: it keeps its line. */
  keep(text: string): void
  /** Removes the last step, so that what follows starts on a clean line. */
  done(): void
}

export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  let last = ''
  return {
    step(text) {
      if (text === last) return
      last = text
      stream.write(stream.isTTY ? `\r\x1b[2K${text} …` : `${text}\n`)
    },
    keep(text) {
      stream.write(stream.isTTY ? `\r\x1b[2K${text}\n` : `${text}\n`)
      last = ''
    },
    done() {
      if (stream.isTTY && last) stream.write('\r\x1b[2K')
      last = ''
    },
  }
}
