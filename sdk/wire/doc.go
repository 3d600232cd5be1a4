// Package wire carries Arrow records over the plugin protocol and the flow logs: the frame, its gRPC codec, and the encoder and
// decoder that turn the records of one stream and version into one continuous Arrow IPC stream cut into frames.
//
// Plugin authors do not need it: package sdk speaks it for them, and the host side lives in core/pluginhost. Nothing here knows
// what a frame means; that is the business of the two ends.
//
// The decoder takes bytes from a process that it does not trust: whatever they are, it returns an error or a batch whose values
// can all be read. It refuses what no end of the protocol sends: compressed bodies, dictionary deltas, foreign byte order. Plugins
// that read Arrow from elsewhere have Inspector and ValidateStructure for the same purpose.
package wire

// The sizes that both ends agree on.
const (
	// TargetBody is the size in bytes at which a batch is cut into frames.
	TargetBody = 2 << 20
	// MaxRow is the largest row in bytes that may travel; a larger one is a rejection.
	MaxRow = 16 << 20
	// MaxRows is the number of rows at which a batch is cut even if they take no space, as nulls do.
	MaxRows = 1 << 24
	// MaxMessage bounds one gRPC message both ways.
	MaxMessage = 32 << 20
	// MaxRaw bounds the raw bytes that a rejection may carry; longer ones are cut.
	MaxRaw = 64 << 10
)
