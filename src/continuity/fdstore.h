/*
 * fdstore - what systemd holds for us over our own end.
 *
 * Two descriptors for a whole life: one end of the pair on which the next
 * usher asks the keeper, and the state. Never one for each connection: that
 * costs PID 1 time which grows with the square.
 */
#ifndef USHER_CONTINUITY_FDSTORE_H
#define USHER_CONTINUITY_FDSTORE_H

/* Stores them, and looks whether they are held (a full or absent store drops
 * them without a word). Once in a life; record_globals()->stored says it
 * worked. Waits for the manager's answer, a second at most. */
void fdstore_keep(void);

/* An upgraded image's predecessor, while it is unconfirmed: the usher that
 * systemd starts executes it before all else. IMAGE 0 or 1. */
void fdstore_image(int image);
void fdstore_image_end(void);

/* An orderly end: nothing of ours stays there. */
void fdstore_forget(void);

#endif
