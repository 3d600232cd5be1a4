// Package process runs plugin binaries as processes that can neither outlive the host nor see more of it than they should: which
// bytes run, with which environment, in which process group, for how long, and what is known once one has ended.
//
// What is said over the connection is the business of core/pluginhost.
//
// How a plugin is kept from outliving its host. It leads a process group, so that its children can be killed with it. A host that
// closes a plugin kills the group. For a host that is itself killed there are two ways: the kernel's parent-death signal, which
// reaches the plugin only, and a pipe whose writing end the host holds and whose reading end the plugin inherits. The pipe's
// reading end is set up to send SIGKILL to the whole group on any event (fcntl(2): O_ASYNC, F_SETOWN, F_SETSIG), and the one
// event that ever happens is that the kernel closes the writing end with the last of the host. The parent-death signal is tied to
// the thread that forks, so one thread does all the forking and lives as long as the Launcher. Children in sessions of their own are
// found by their environment and their descent.
package process
