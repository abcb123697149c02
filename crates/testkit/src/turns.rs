//! When a future goes on, and when it is dropped.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Lets the other tasks go first, so many times.
pub async fn take_turns(turns: usize) {
    let mut left = turns;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Polls a future so many times, then drops it where it stands: as a server does whose client has hung up.
pub async fn abandon<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{abandon, take_turns};

    #[tokio::test]
    async fn a_future_that_needs_more_polls_is_dropped_half_way() {
        let mut steps = 0;
        let walk = async {
            for _ in 0..5 {
                steps += 1;
                take_turns(1).await;
            }
        };
        assert_eq!(abandon(walk, 3).await, None);
        assert_eq!(steps, 3);
    }

    #[tokio::test]
    async fn a_future_that_ends_in_time_gives_its_output() {
        let walk = async {
            take_turns(2).await;
            7
        };
        assert_eq!(abandon(walk, 3).await, Some(7));
    }
}
