//! Subnets and routers in layers: between two layers there is nothing but lines.

use std::collections::VecDeque;

/// A subnet or router by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::render) enum Spot {
    Subnet(usize),
    Router(usize),
}

/// Who is joined with whom: subnets first, then routers, by number.
#[derive(Debug)]
pub(in crate::render) struct Joined {
    subnets: usize,
    near: Vec<Vec<usize>>,
}

impl Joined {
    /// `links` are pairs of a subnet and a router.
    pub(in crate::render) fn new(subnets: usize, routers: usize, links: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut near = vec![Vec::new(); subnets + routers];
        for (subnet, router) in links {
            near[subnet].push(subnets + router);
            near[subnets + router].push(subnet);
        }
        Self { subnets, near }
    }

    /// The parts that nothing joins, each in layers: subnets and routers take turns, and a line leads to the next layer only.
    pub(in crate::render) fn parts(&self) -> Vec<Vec<Vec<Spot>>> {
        let mut parts = Vec::new();
        let mut done = vec![false; self.near.len()];
        for start in 0..self.near.len() {
            if done[start] {
                continue;
            }
            // From one end of the longest way to the other.
            let far = Self::farthest(&self.layers(start));
            let layers = self.layers(Self::farthest(&self.layers(far)));
            layers.iter().flatten().for_each(|at| done[*at] = true);
            parts.push(layers.into_iter().map(|layer| layer.into_iter().map(|at| self.spot(at)).collect()).collect());
        }
        parts
    }

    fn spot(&self, at: usize) -> Spot {
        if at < self.subnets { Spot::Subnet(at) } else { Spot::Router(at - self.subnets) }
    }

    fn layers(&self, start: usize) -> Vec<Vec<usize>> {
        let mut depth = vec![None; self.near.len()];
        depth[start] = Some(0);
        let (mut queue, mut layers) = (VecDeque::from([(start, 0)]), Vec::<Vec<usize>>::new());
        while let Some((at, deep)) = queue.pop_front() {
            if layers.len() == deep {
                layers.push(Vec::new());
            }
            layers[deep].push(at);
            for next in &self.near[at] {
                if depth[*next].is_none() {
                    depth[*next] = Some(deep + 1);
                    queue.push_back((*next, deep + 1));
                }
            }
        }
        layers
    }

    fn farthest(layers: &[Vec<usize>]) -> usize {
        layers.last().and_then(|layer| layer.iter().min()).copied().unwrap_or(0)
    }
}
