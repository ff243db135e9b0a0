package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/flate"
)

// The bytes a gzipWriter makes depend on these numbers and on the version of the flate package, and on
// nothing else. Changing one changes the digest of every layer built from then on.
const (
	gzipBlock = 512 << 10 // compressed as a piece, by one worker
	gzipDict  = 32 << 10  // end of the block before, as far as deflate can look back
	gzipLevel = 1         // layers are read far more often than they are stored for long; speed wins
)

// maxWorkers bounds the memory of a gzipWriter on machines with very many cores: each worker holds about
// three blocks.
const maxWorkers = 8

// gzipWriter compresses on all cores into one gzip member. Blocks of fixed size are compressed
// independently, each primed with the end of the one before, and joined in order.
type gzipWriter struct {
	w     io.Writer
	in    *gzipJob
	free  chan *gzipJob // jobs not in use; their number bounds the memory
	work  chan *gzipJob
	order chan *gzipJob // the same jobs as in work, in the order of the stream
	done  chan error    // the writer's result
	dict  []byte
	crc   uint32
	size  uint32
}

type gzipJob struct {
	block []byte
	dict  []byte
	last  bool
	out   bytes.Buffer
	err   error
	ready chan struct{}
}

func newGzipWriter(w io.Writer) *gzipWriter {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers)
	jobs := 2*workers + 8 // enough that on a busy machine nobody waits for a neighbour's turn
	z := &gzipWriter{
		w:     w,
		free:  make(chan *gzipJob, jobs),
		work:  make(chan *gzipJob, jobs),
		order: make(chan *gzipJob, jobs),
		done:  make(chan error, 1),
		dict:  make([]byte, 0, gzipDict),
	}
	for range jobs {
		z.free <- &gzipJob{ready: make(chan struct{}, 1)}
	}
	for range workers {
		go compressBlocks(z.work)
	}
	go func() { z.done <- z.writeOut() }()
	return z
}

func compressBlocks(work <-chan *gzipJob) {
	fast, err := flate.NewWriter(nil, gzipLevel)
	store, serr := flate.NewWriter(nil, flate.NoCompression)
	err = errors.Join(err, serr)
	for j := range work {
		j.out.Reset()
		if j.err = err; err == nil {
			fw := fast
			if incompressible(j.block) {
				fw = store
			}
			fw.ResetDict(&j.out, j.dict)
			_, j.err = fw.Write(j.block)
			end := fw.Flush // byte-aligned, so that the next block can follow
			if j.last {
				end = fw.Close
			}
			if e := end(); j.err == nil {
				j.err = e
			}
		}
		j.ready <- struct{}{}
	}
}

// incompressible reports whether a block, by three samples of it, is not worth the try: it is compressed or
// random already.
func incompressible(block []byte) bool {
	const sample = 4 << 10
	if len(block) < 8*sample {
		return false
	}
	for _, at := range []int{0, len(block) / 2, len(block) - sample} {
		if compress.Estimate(block[at:at+sample]) > 0.05 {
			return false
		}
	}
	return true
}

// writeOut writes header and blocks in order. After an error it goes on emptying the queue, so that Write
// never blocks for ever.
func (z *gzipWriter) writeOut() error {
	// No name and no time; the system is "unknown", as the bytes say nothing of where they were made.
	_, err := z.w.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff})
	for j := range z.order {
		<-j.ready
		if err == nil {
			err = j.err
		}
		if err == nil {
			_, err = z.w.Write(j.out.Bytes())
		}
		z.free <- j
	}
	return err
}

func (z *gzipWriter) Write(p []byte) (int, error) {
	n := len(p)
	z.crc = crc32.Update(z.crc, crc32.IEEETable, p)
	z.size += uint32(n) //nolint:gosec // the trailer's size is modulo 2^32
	for len(p) > 0 {
		if z.in == nil {
			z.in = <-z.free
			if z.in.block == nil {
				z.in.block = make([]byte, 0, gzipBlock)
			}
			z.in.block = z.in.block[:0]
		}
		k := min(len(p), gzipBlock-len(z.in.block))
		z.in.block = append(z.in.block, p[:k]...)
		if p = p[k:]; len(z.in.block) == gzipBlock {
			z.submit(false)
		}
	}
	return n, nil
}

func (z *gzipWriter) submit(last bool) {
	j := z.in
	j.last, j.dict = last, append(j.dict[:0], z.dict...)
	z.dict = append(z.dict[:0], j.block[max(0, len(j.block)-gzipDict):]...)
	z.in = nil
	z.order <- j
	z.work <- j
}

// Close writes the rest and waits until all of it is written. It must be called, also after an error
// elsewhere, as it ends the workers.
func (z *gzipWriter) Close() error {
	if z.in == nil {
		z.in = <-z.free
		z.in.block = z.in.block[:0]
	}
	z.submit(true)
	close(z.work)
	close(z.order)
	if err := <-z.done; err != nil {
		return err
	}
	var trailer [8]byte
	binary.LittleEndian.PutUint32(trailer[:4], z.crc)
	binary.LittleEndian.PutUint32(trailer[4:], z.size)
	_, err := z.w.Write(trailer[:])
	return err
}
