// A mail server for tests: takes mail on a free port of loopback, writes each message with its envelope to DIR, and
// prints the port. An address that begins with no- is refused for good, one that begins with later- for now;
// at one that begins with die- the server dies in the middle of the message.
//   node test/t/smtp.mjs DIR
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'

const dir = process.argv[2]
mkdirSync(dir, { recursive: true })
let n = 0

createServer((socket) => {
  let rest = '', data = null, envelope = []
  const say = (line) => socket.write(`${line}\r\n`)
  say('220 test ESMTP')
  socket.setEncoding('utf8')
  socket.on('error', () => {})
  socket.on('data', (text) => {
    const lines = (rest + text).split('\r\n')
    rest = lines.pop()
    for (const line of lines) {
      if (data) {
        if (line === '.' && /<die-/.test(envelope.join())) socket.destroy()
        else if (line === '.') {
          writeFileSync(`${dir}/${String(++n).padStart(3, '0')}.txt`, [...envelope, '', ...data].join('\n') + '\n')
          data = null
          envelope = []
          say('250 taken')
        } else data.push(line.replace(/^\.\./, '.'))
      } else if (/^(EHLO|HELO) /i.test(line)) say(/^EHLO/i.test(line) ? '250-test\r\n250-8BITMIME\r\n250 SMTPUTF8' : '250 test')
      else if (/^MAIL FROM:/i.test(line)) { envelope = [line]; say('250 ok') }
      else if (/^RCPT TO:<no-/i.test(line)) say('550 no such mailbox')
      else if (/^RCPT TO:<later-/i.test(line)) say('451 try again later')
      else if (/^RCPT TO:/i.test(line)) { envelope.push(line); say('250 ok') }
      else if (/^DATA$/i.test(line)) {
        data = []
        say('354 go on')
        if (/<die-/.test(envelope.join())) setTimeout(() => socket.destroy(), 50)
      }
      else if (/^QUIT/i.test(line)) { say('221 bye'); socket.end() }
      else say('250 ok')
    }
  })
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
