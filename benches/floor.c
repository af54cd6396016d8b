// The floor: how fast the kernel itself brings up the bridged lab with N containers, in straight C, with nothing else done.
//
//   gcc -O2 -o floor floor.c && ./floor N        (as root, in a network and mount namespace of its own)
//
// Two hosts with a bridge each and a wire between them; N containers in turn on either host, each with one veth to its
// bridge, an IPv4 address and `lo`; every container's namespace pinned in one private tmpfs, ./floor-pins. It leaves right
// after that and takes nothing down. Every trick that was found is in here: both veth ends born in their namespaces, one
// queue each, the host's end up and a port at birth, batches of messages, one RTM_GETLINK so that the carrier settles.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#define PORTS_PER_BRIDGE 1000  // the kernel takes 1023
#define BATCH 64
#define DIE(what) do { perror(what); exit(1); } while (0)

struct netlink { int fd, len, count; unsigned seq; char buf[1 << 16]; };
static struct netlink host[2], node;
static int errors;

static int open_netlink(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), one = 1;
  if (fd < 0) DIE("socket");
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  return fd;
}

static int namespace_of(int socket) {
  int fd = ioctl(socket, SIOCGSKNS);
  if (fd < 0) DIE("SIOCGSKNS");
  return fd;
}

static void read_errors(struct netlink *to) {
  char reply[32768];
  for (int n; (n = recv(to->fd, reply, sizeof reply, MSG_DONTWAIT)) > 0;)
    for (struct nlmsghdr *h = (void *)reply; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
      struct nlmsgerr *error = NLMSG_DATA(h);
      if (h->nlmsg_type != NLMSG_ERROR || !error->error) continue;
      errors++;
      fprintf(stderr, "message of type %d: %s\n", error->msg.nlmsg_type, strerror(-error->error));
    }
}

static void flush(struct netlink *to) {
  if (!to->len) return;
  if (send(to->fd, to->buf, to->len, 0) < 0) DIE("send");
  to->len = to->count = 0;
  read_errors(to);
}

static struct nlmsghdr *begin(struct netlink *to, int type, int flags, int header) {
  if (to->count >= BATCH || to->len > (int)sizeof to->buf - 2048) flush(to);
  struct nlmsghdr *h = (void *)(to->buf + to->len);
  memset(h, 0, 2048);
  h->nlmsg_type = type;
  h->nlmsg_flags = NLM_F_REQUEST | flags;
  h->nlmsg_seq = ++to->seq;
  h->nlmsg_len = NLMSG_LENGTH(header);
  return h;
}

static void end(struct netlink *to, struct nlmsghdr *h) { to->len += NLMSG_ALIGN(h->nlmsg_len); to->count++; }

static struct rtattr *add(struct nlmsghdr *h, int type, const void *value, int length) {
  struct rtattr *a = (void *)((char *)h + NLMSG_ALIGN(h->nlmsg_len));
  a->rta_type = type;
  a->rta_len = RTA_LENGTH(length);
  if (length) memcpy(RTA_DATA(a), value, length);
  h->nlmsg_len = NLMSG_ALIGN(h->nlmsg_len) + RTA_ALIGN(a->rta_len);
  return a;
}
static void add_u32(struct nlmsghdr *h, int type, unsigned value) { add(h, type, &value, 4); }
static void add_u8(struct nlmsghdr *h, int type, unsigned char value) { add(h, type, &value, 1); }
static void add_text(struct nlmsghdr *h, int type, const char *text) { add(h, type, text, strlen(text) + 1); }
static struct rtattr *nest(struct nlmsghdr *h, int type) { return add(h, type, 0, 0); }
static void close_nest(struct nlmsghdr *h, struct rtattr *a) { a->rta_len = (char *)h + NLMSG_ALIGN(h->nlmsg_len) - (char *)a; }
static void one_queue(struct nlmsghdr *h) { add_u32(h, IFLA_NUM_TX_QUEUES, 1); add_u32(h, IFLA_NUM_RX_QUEUES, 1); }

static struct nlmsghdr *begin_link(struct netlink *to, int flags, int index, int up) {
  struct nlmsghdr *h = begin(to, RTM_NEWLINK, flags, sizeof(struct ifinfomsg));
  struct ifinfomsg *link = NLMSG_DATA(h);
  link->ifi_index = index;
  if (up) link->ifi_flags = link->ifi_change = IFF_UP;
  return h;
}

static void bridge(struct netlink *to, int index, int owner, int number) {
  struct nlmsghdr *h = begin_link(to, NLM_F_CREATE | NLM_F_EXCL, index, 1);
  unsigned char mac[6] = {2, 0xb0, owner, number, 0, 1};
  char name[16];
  sprintf(name, "br%d", number);
  add_text(h, IFLA_IFNAME, name);
  add(h, IFLA_ADDRESS, mac, 6);
  struct rtattr *info = nest(h, IFLA_LINKINFO);
  add_text(h, IFLA_INFO_KIND, "bridge");
  struct rtattr *data = nest(h, IFLA_INFO_DATA);
  add_u32(h, IFLA_BR_FORWARD_DELAY, 0);
  add_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
  close_nest(h, data);
  close_nest(h, info);
  end(to, h);
}

// One end here, up and a port of `master`; the other, `peer`, in the namespace `fd` (-1: here too).
static void veth(struct netlink *to, const char *name, int index, int master, const char *peer, int peer_index, int fd, const unsigned char *mac) {
  struct nlmsghdr *h = begin_link(to, NLM_F_CREATE | NLM_F_EXCL, index, 1);
  add_text(h, IFLA_IFNAME, name);
  add_u32(h, IFLA_MASTER, master);
  one_queue(h);
  struct rtattr *info = nest(h, IFLA_LINKINFO);
  add_text(h, IFLA_INFO_KIND, "veth");
  struct rtattr *data = nest(h, IFLA_INFO_DATA), *other = nest(h, VETH_INFO_PEER);
  struct ifinfomsg *link = (void *)((char *)h + h->nlmsg_len);
  link->ifi_index = peer_index;
  h->nlmsg_len += sizeof *link;
  add_text(h, IFLA_IFNAME, peer);
  if (fd >= 0) add_u32(h, IFLA_NET_NS_FD, fd);
  if (mac) add(h, IFLA_ADDRESS, mac, 6);
  one_queue(h);
  close_nest(h, other);
  close_nest(h, data);
  close_nest(h, info);
  end(to, h);
}

static void set_up(struct netlink *to, int index, int master) {
  struct nlmsghdr *h = begin_link(to, 0, index, 1);
  if (master) add_u32(h, IFLA_MASTER, master);
  end(to, h);
}

static void no_link_local(struct netlink *to, int index) {
  struct nlmsghdr *h = begin_link(to, 0, index, 0);
  struct rtattr *families = nest(h, IFLA_AF_SPEC), *inet6 = nest(h, AF_INET6 | NLA_F_NESTED);
  add_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  close_nest(h, inet6);
  close_nest(h, families);
  end(to, h);
}

static void address(struct netlink *to, int index, unsigned ip) {
  struct nlmsghdr *h = begin(to, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifaddrmsg));
  struct ifaddrmsg *a = NLMSG_DATA(h);
  unsigned network_order = htonl(ip);
  a->ifa_family = AF_INET;
  a->ifa_prefixlen = 8;
  a->ifa_index = index;
  add(h, IFA_LOCAL, &network_order, 4);
  add(h, IFA_ADDRESS, &network_order, 4);
  end(to, h);
}

// Asking for a link makes the kernel settle its carrier at once.
static void settle(struct netlink *to, int index) {
  struct nlmsghdr *h = begin(to, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
  ((struct ifinfomsg *)NLMSG_DATA(h))->ifi_index = index;
  add_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  end(to, h);
}

static void pin(int number) {
  char path[64], self[64];
  snprintf(path, sizeof path, "floor-pins/c%d", number);
  int fd = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444);
  if (fd < 0) DIE(path);
  close(fd);
  snprintf(self, sizeof self, "/proc/self/task/%ld/ns/net", (long)syscall(SYS_gettid));
  if (mount(self, path, "none", MS_BIND, 0) < 0) DIE("bind");
}

static void hosts(int bridges) {
  for (int h = 0; h < 2; h++) {
    if (unshare(CLONE_NEWNET) < 0) DIE("unshare");
    host[h].fd = open_netlink();
    int off = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
    if (off < 0 || write(off, "1", 1) < 0) DIE("disable_ipv6");
    close(off);
  }
  for (int h = 0; h < 2; h++) {
    set_up(&host[h], 1, 0);
    for (int k = 0; k < bridges; k++) bridge(&host[h], 2 + k, h, k);
    for (int k = 1; k < bridges; k++) {
      char a[16], b[16];
      sprintf(a, "t%da", k);
      sprintf(b, "t%db", k);
      veth(&host[h], a, 50 + 2 * k, 2, b, 51 + 2 * k, -1, 0);
      set_up(&host[h], 51 + 2 * k, 2 + k);
    }
  }
  veth(&host[0], "wire", 40, 2, "wire", 41, namespace_of(host[1].fd), 0);
  flush(&host[0]);
  set_up(&host[1], 41, 2);
  flush(&host[1]);
  settle(&host[0], 40);
  settle(&host[1], 41);
}

static void container(int number) {
  struct netlink *its_host = &host[number & 1];
  unsigned char mac[6] = {2, 0xc0, 0, number >> 16, number >> 8, number};
  char name[16];
  if (unshare(CLONE_NEWNET) < 0) DIE("unshare");
  node.fd = open_netlink();
  pin(number);
  int target = namespace_of(node.fd);
  sprintf(name, "v%d", number);
  veth(its_host, name, 1000 + number, 2 + number / 2 / PORTS_PER_BRIDGE, "eth0", 2, target, mac);
  flush(its_host);
  no_link_local(&node, 2);
  set_up(&node, 1, 0);
  address(&node, 2, 0x0a000000u + number + 2);
  set_up(&node, 2, 0);
  flush(&node);
  close(node.fd);
  close(target);
  settle(its_host, 1000 + number);
}

int main(int count, char **words) {
  int n = count > 1 ? atoi(words[1]) : 100, bridges = (n + 1) / 2 / PORTS_PER_BRIDGE + 1;
  mkdir("floor-pins", 0755);
  if (mount("tmpfs", "floor-pins", "tmpfs", 0, "nr_inodes=0,mode=755") < 0) DIE("tmpfs");
  if (mount("none", "floor-pins", 0, MS_PRIVATE, 0) < 0) DIE("private");
  hosts(bridges);
  for (int c = 0; c < n; c++) container(c);
  for (int h = 0; h < 2; h++) {
    for (int k = 0; k < bridges; k++) settle(&host[h], 2 + k);
    flush(&host[h]);
  }
  return errors ? 3 : 0;
}
