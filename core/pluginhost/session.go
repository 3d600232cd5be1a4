package pluginhost

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/qanat-data/qanat/registry"
	"github.com/qanat-data/qanat/sdk/wire"
	"github.com/qanat-data/qanat/specs/proto/pluginv1"
)

// session is one stream to an instance, and the process behind it. Frames are received by one goroutine of the session (the
// pump), so that waiting for one can be given up without losing it. Receiving is for one caller at a time, sending is safe beside
// it.
type session struct {
	*launched
	stream   grpc.ClientStream
	cancel   context.CancelFunc
	patience *patience

	frames  chan *wire.Frame
	pumped  chan struct{} // closed when the stream has ended, with pumpErr, and what the plugin gave as its error
	pumpErr error
	said    *pluginv1.Error
	quit    chan struct{} // closed by close: frames are not wanted any more
	once    sync.Once

	failed  chan struct{} // closed when failure is set
	failMu  sync.Mutex
	failure error

	sendMu sync.Mutex
	out    sender
	recvMu sync.Mutex
	in     receiver
	calls  calls
	beats  atomic.Uint64 // frames that have come
}

// framesAhead is how many frames the pump may hold: one that is decoded while the next one is copied off the connection.
const framesAhead = 2

// open launches an instance and makes a stream to it.
func (h *Host) open(ctx context.Context, inst Instance, method string) (*session, error) {
	l, err := h.launch(ctx, inst)
	if err != nil {
		return nil, err
	}
	streamCtx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	stream, err := l.Conn().NewStream(streamCtx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	switch {
	case !stop():
		err = context.Cause(ctx)
	case err != nil:
		err = l.broken(err)
	}
	if err != nil {
		cancel()
		l.close()
		return nil, err
	}
	s := &session{
		launched: l, stream: stream, cancel: cancel, frames: make(chan *wire.Frame, framesAhead), pumped: make(chan struct{}),
		quit: make(chan struct{}), failed: make(chan struct{}), out: newSender(), in: newReceiver(inst, h.settings.Alloc),
	}
	s.patience = &patience{expired: func(p promise) { _ = s.abort(inst.late(p.call, p.limit)) }}
	go s.pump()
	return s, nil
}

// opening is the frame that begins every stream.
func (s *session) opening(open *pluginv1.Open) *pluginv1.Head {
	open.Config, open.Scratch = s.inst.Config, s.scratch
	return &pluginv1.Head{Kind: &pluginv1.Head_Open{Open: open}}
}

// pump receives until the stream ends.
func (s *session) pump() {
	defer close(s.pumped)
	defer close(s.frames)
	for {
		frame := &wire.Frame{}
		s.patience.wait(true)
		err := s.stream.RecvMsg(frame)
		s.patience.wait(false)
		if err != nil {
			s.pumpErr = err
			return
		}
		s.beats.Add(1)
		switch kind := frame.Head.GetKind().(type) {
		case *pluginv1.Head_Done:
			s.settle()
		case *pluginv1.Head_Error:
			s.settle()
			s.said = kind.Error
		}
		select {
		case s.frames <- frame:
		case <-s.quit:
		}
	}
}

// settle books an answer. A source gives one only, in the end, and owes nothing after it.
func (s *session) settle() {
	if s.inst.Kind == registry.Source {
		s.patience.stop()
		return
	}
	s.patience.settle()
}

// next is the next frame. A cancelled context ends only the waiting.
func (s *session) next(ctx context.Context) (*wire.Frame, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	select {
	case frame, ok := <-s.frames:
		if !ok {
			return nil, s.abort(s.ended())
		}
		return frame, nil
	case <-s.failed:
		return nil, s.err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// ended says why the stream has ended, once the pump has.
func (s *session) ended() error {
	<-s.pumped
	select {
	case <-s.quit:
		return ErrClosed
	default:
	}
	if s.said != nil {
		return s.inst.from(sdkError(s.said))
	}
	if errors.Is(s.pumpErr, io.EOF) {
		return s.inst.violation("it ended the stream before it was asked to")
	}
	return s.broken(s.pumpErr)
}

// errEnded is returned by send when the plugin's side has ended; why is known to whoever receives.
var errEnded = errors.New("the plugin has ended the stream")

// send transmits a frame. It blocks while the plugin is behind; a context that is cancelled meanwhile ends the session, because
// half a frame can't be taken back.
func (s *session) send(ctx context.Context, head *pluginv1.Head) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	return s.transmit(ctx, &wire.Frame{Head: head})
}

// transmit is send under sendMu. It takes the frame's body, also when it fails.
func (s *session) transmit(ctx context.Context, frame *wire.Frame) error {
	if err := s.err(); err != nil {
		frame.Body.Release()
		return err
	}
	if ctx.Err() != nil {
		frame.Body.Release()
		return context.Cause(ctx)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.abort(context.Cause(ctx)) })
	err := s.stream.SendMsg(frame)
	stop()
	switch {
	case err == nil:
		return nil
	case s.err() != nil:
		return s.err()
	case errors.Is(err, io.EOF):
		return errEnded
	}
	return s.abort(s.inst.from(err))
}

// endGrace is how long a sender waits for the receiver to find out why the stream has ended.
const endGrace = 2 * time.Second

// why replaces errEnded by the reason, which the receiving caller may be about to find.
func (s *session) why(err error) error {
	if !errors.Is(err, errEnded) {
		return err
	}
	late := time.After(endGrace)
	select {
	case <-s.failed:
		return s.err()
	case <-late:
		return s.inst.from(err)
	case <-s.pumped:
	}
	if len(s.frames) == 0 {
		return s.abort(s.ended())
	}
	select {
	case <-s.failed:
		return s.err()
	case <-late:
		return s.inst.from(err)
	}
}

// fail keeps the first error, which all later calls return.
func (s *session) fail(err error) error {
	s.failMu.Lock()
	defer s.failMu.Unlock()
	if s.failure == nil {
		s.failure = err
		close(s.failed)
	}
	return s.failure
}

func (s *session) err() error {
	s.failMu.Lock()
	defer s.failMu.Unlock()
	return s.failure
}

// abort fails and kills the process. The stream is cancelled first: gRPC gives back the batches that wait on it only while the
// connection lives.
func (s *session) abort(err error) error {
	err = s.fail(err)
	s.cancel()
	s.Kill(err)
	return err
}

// close ends the stream, gently if nothing is under way, then the process. It returns why a gentle end failed.
func (s *session) close() error {
	var err error
	s.once.Do(func() {
		close(s.quit)
		err = s.hangUp()
		_ = s.fail(ErrClosed)
		s.patience.stop()
		s.cancel()
		s.launched.close()
		<-s.pumped
		s.sendMu.Lock()
		defer s.sendMu.Unlock()
		s.out.close()
		s.recvMu.Lock()
		defer s.recvMu.Unlock()
		s.in.close()
		s.calls.drop()
	})
	return err
}

// hangUp closes the host's side of an idle stream and waits for the plugin's, so that it can free what it holds.
func (s *session) hangUp() error {
	idle := s.err() == nil && !s.calls.pending()
	if !idle || !s.sendMu.TryLock() {
		return nil
	}
	_ = s.stream.CloseSend()
	s.sendMu.Unlock()
	select {
	case <-s.pumped:
	case <-time.After(s.host.settings.Deadlines.Close):
		late := s.inst.late("close", s.host.settings.Deadlines.Close)
		s.Kill(late)
		return late
	}
	if errors.Is(s.pumpErr, io.EOF) {
		return nil
	}
	return s.broken(s.pumpErr)
}
