// Package instance is one running Qanat of a project: the lock on its folder
// (.qanat), the embedded servers that the project asks for, the state database
// and the control endpoint through which other commands of the same user join.
//
// The first process on a folder is its owner: it starts the servers, on random
// loopback ports with random credentials, and writes where they are to
// run.json. Every later one is a guest: it uses the owner's servers, and the
// owner stays until its guests are gone. If the owner dies, its guests end
// with ErrOwnerLost; whoever is started next becomes the owner.
//
// Logs live in core/broker, datasets in core/zone; this package only brings
// them to life, in an order that can be undone.
package instance
