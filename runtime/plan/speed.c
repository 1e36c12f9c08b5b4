#include "plan/speed.h"

#include <math.h>

#define MEMORY_S 2.0
#define WORTH_S  0.1

double ech_speed_learn(double before, double tokens, double seconds)
{
    if (!(tokens > 0) || !(seconds > 0))
        return before;
    double now = tokens / seconds;
    if (!(before > 0))
        return now;
    double kept = exp(-seconds / MEMORY_S);
    return kept * before + (1 - kept) * now;
}

bool ech_speed_departs(double held, double seen)
{
    return held > 0 && seen > 0 && (seen > held * ECH_SPEED_DEPARTS || held > seen * ECH_SPEED_DEPARTS);
}

double ech_copy_gain(const struct ech_copy_view *v)
{
    double left = v->owner_s - v->quiet_s;
    if (left < v->quiet_s)
        left = v->quiet_s;
    if (!(v->owner_s > 0) || !(v->copy_s > 0) || !(left > 1.25 * v->copy_s + WORTH_S))
        return 0;
    return left - v->copy_s;
}
